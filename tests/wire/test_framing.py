"""Where a request ends: whoever disagrees about that with a proxy serves an attacker."""

from __future__ import annotations

import pytest

from tests.wire.wire import Answer, Service, parse

HELLO = b"hello"
SMUGGLED = b"GET /v1/objects/by-key/ns/smuggled/k HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


def upload(service: Service, tenant: str, *fields: str) -> bytes:
    """The head of a PUT."""
    return service.head("PUT", f"/v1/objects/by-key/ns/{tenant}/k", *fields)


def stored(service: Service, tenant: str) -> Answer:
    """What is there now."""
    return service.ask("GET", f"/v1/objects/by-key/ns/{tenant}/k")


REFUSED: dict[str, tuple[list[str], bytes]] = {
    "two lengths": (["Content-Length: 5", "Content-Length: 6"], b"hello!"),
    "a list of lengths": (["Content-Length: 5, 5"], HELLO),
    "a plus": (["Content-Length: +5"], HELLO),
    "a minus": (["Content-Length: -5"], HELLO),
    "hex": (["Content-Length: 0x5"], HELLO),
    "empty": (["Content-Length: "], HELLO),
    "underscore": (["Content-Length: 1_0"], b"hello12345"),
    "a fraction": (["Content-Length: 5.0"], HELLO),
    "words": (["Content-Length: five"], HELLO),
    "beyond 64 bits": (["Content-Length: 99999999999999999999999"], HELLO),
    "64 bits": (["Content-Length: 18446744073709551615"], HELLO),
    "63 bits": (["Content-Length: 9223372036854775807"], HELLO),
    "identity": (["Transfer-Encoding: identity"], HELLO),
    "chunked is not last": (["Transfer-Encoding: chunked, identity"], CHUNKED),
    "coded and chunked": (["Transfer-Encoding: gzip, chunked"], CHUNKED),
    "chunked twice": (["Transfer-Encoding: chunked, chunked"], CHUNKED),
    "two codings": (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], CHUNKED),
    "nearly chunked": (["Transfer-Encoding: xchunked"], CHUNKED),
    "quoted": (['Transfer-Encoding: "chunked"'], CHUNKED),
    "vertical tab": (["Transfer-Encoding: \x0bchunked"], CHUNKED),
    "space before the colon": (["Transfer-Encoding : chunked"], CHUNKED),
    "folded": (["Transfer-Encoding:\r\n chunked"], CHUNKED),
    "endless size": (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    "64 bits of size": (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    "size below zero": (["Transfer-Encoding: chunked"], b"-5\r\nhello\r\n0\r\n\r\n"),
    "size with 0x": (["Transfer-Encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n"),
    "no size": (["Transfer-Encoding: chunked"], b"\r\nhello\r\n0\r\n\r\n"),
    "bare LF in chunks": (["Transfer-Encoding: chunked"], b"5\nhello\n0\n\n"),
    "a chunk that is too long": (["Transfer-Encoding: chunked"], b"5\r\nhelloworld\r\n0\r\n\r\n"),
    "a large extension": (
        ["Transfer-Encoding: chunked"],
        b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    ),
    "bare LF in an extension": (
        ["Transfer-Encoding: chunked"],
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    ),
    "a flood of trailers": (
        ["Transfer-Encoding: chunked"],
        b"5\r\nhello\r\n0\r\n" + b"X-A: a\r\n" * 3000 + b"\r\n",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_without_a_clear_end_is_refused(service: Service, tenant: str, name: str) -> None:
    """One answer, a 4xx; nothing is stored, and what follows is not taken for a request."""
    fields, body = REFUSED[name]
    answers = service.send(upload(service, tenant, *fields) + body + SMUGGLED, half_close=False)
    assert len(answers) == 1, answers
    assert 400 <= answers[0].status < 500 and answers[0].is_decent(), answers
    assert stored(service, tenant).status == 404


def test_chunks_win_over_a_length_and_end_the_connection(service: Service, tenant: str) -> None:
    """RFC 9112, 6.3: whoever reads the length sees other requests than we do, so none follows."""
    for length, body in ((6, b"0\r\n\r\n"), (4, CHUNKED), (500, CHUNKED)):
        for order in (1, -1):
            fields = [f"Content-Length: {length}", "Transfer-Encoding: chunked"][::order]
            answers = service.send(
                upload(service, tenant, *fields) + body + SMUGGLED, half_close=False
            )
            assert [answer.status in {200, 201, 400} for answer in answers] == [True]
            assert answers[0].headers["connection"] == "close"
            if answers[0].status < 400:
                assert stored(service, tenant).body == (HELLO if body == CHUNKED else b"")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Content-Length: 5"], HELLO),
        (["Content-Length: 5", "Content-Length: 5"], HELLO),
        (["Content-Length: 005"], HELLO),
        (["Transfer-Encoding:\tchunked"], CHUNKED),
        (["Transfer-Encoding: CHUNKED"], CHUNKED),
        (["Transfer-Encoding: chunked"], b"5;a=b;c\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"00000005\r\nhello\r\n000\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-API-Key: no\r\n\r\n"),
        (["Transfer-Encoding: chunked", "Trailer: Content-Length"],
         b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nHost: evil\r\n\r\n"),
    ],
)  # fmt: skip
def test_odd_and_right(service: Service, tenant: str, fields: list[str], body: bytes) -> None:
    """What the standard allows is taken for what it says, and trailers are no header fields."""
    following = service.head("GET", "/health", "Connection: close")
    answers = service.send(upload(service, tenant, *fields) + body + following, half_close=False)
    assert [answer.status for answer in answers] in ([201, 200], [400]), answers
    if len(answers) == 2:
        assert stored(service, tenant).body == HELLO
    else:
        assert fields in (["Content-Length: 5", "Content-Length: 5"], ["Content-Length: 005"])


def test_pipelining(service: Service, tenant: str) -> None:
    """Requests sent together are answered in order, a refused one in its turn."""
    path = f"/v1/objects/by-key/ns/{tenant}"
    sent, statuses = [], []
    for at in range(10):
        sent += [
            service.head("PUT", f"{path}/{at}", "Content-Length: 5") + b"%05d" % at,
            service.head("GET", f"{path}/{at}"),
            service.head("PUT", f"{path}/-", "Content-Length: 5", "Content-Encoding: br") + HELLO,
            service.head("HEAD", f"{path}/{at}"),
            service.head("GET", f"{path}/{at}", key=None),
        ]
        statuses += [201, 200, 415, 200, 401]
    sent.append(service.head("GET", "/health", "Connection: close"))
    with service.connect() as wire:
        wire.sendall(b"".join(sent))
        rest = bytearray()
        while data := wire.recv(65_536):
            rest += data
    found, bodies = [], []
    for request in sent:
        parsed = parse(bytes(rest), request.split(b" ")[0].decode())
        assert parsed is not None, rest
        answer, left = parsed
        rest = bytearray(left)
        found.append(answer.status)
        bodies.append(answer.body)
    assert found == [*statuses, 200]
    assert bodies[1::5][:10] == [b"%05d" % at for at in range(10)]


def test_a_client_that_stops_sending(service: Service, tenant: str) -> None:
    """Who half-closes before the answer may be taken for gone, but what it sent is whole or not."""
    for _ in range(10):
        answers = service.send(upload(service, tenant, "Content-Length: 5") + HELLO)
        assert [answer.status for answer in answers] in ([], [200], [201])
        assert stored(service, tenant).status == 404 or stored(service, tenant).body == HELLO
    answers = service.send(upload(service, f"{tenant}-half", "Content-Length: 5") + b"hel")
    assert [answer.status for answer in answers] in ([], [400])
    assert stored(service, f"{tenant}-half").status == 404
