"""Heads of requests that are wrong, huge, slow, or of another protocol."""

from __future__ import annotations

import time

import pytest

from tests.wire.wire import KEY, PATIENCE_S, Service, read_answers

CLOSE = "Connection: close"
ANY = "/v1/objects/by-key/ns/heads/nothing"

RAW: dict[str, tuple[bytes, set[int]]] = {
    # what is sent, and what may come back; an empty set: the connection just ends
    "bare CR in a value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n", {400}),
    "NUL in a value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n", {400}),
    "BEL in a value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\x07b\r\n\r\n", {400}),
    "DEL in a value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\x7fb\r\n\r\n", {400}),
    "a folded value": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n", {400}),
    "a space before the first field": (b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", {400}),
    "a field without colon": (b"GET /health HTTP/1.1\r\nHost: x\r\nXA\r\n\r\n", {400}),
    "a field without name": (b"GET /health HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", {400}),
    "a name with a space": (b"GET /health HTTP/1.1\r\nHost: x\r\nX A: a\r\n\r\n", {400}),
    "a name and a space": (b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
    "a name that is not ASCII": (b"GET /health HTTP/1.1\r\nHost: x\r\nX-\xe4: a\r\n\r\n", {400}),
    "a name with brackets": (b"GET /health HTTP/1.1\r\nHost: x\r\nX(a): a\r\n\r\n", {400}),
    "no Host": (b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
    "two Hosts": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
        {400},
    ),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400}),
    "HTTP/1.2": (b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n", {400}),
    "HTTP/2.0": (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", {400}),
    "HTTP/1.10": (b"GET /health HTTP/1.10\r\nHost: x\r\n\r\n", {400}),
    "lower case protocol": (b"GET /health http/1.1\r\nHost: x\r\n\r\n", {400}),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "TLS": (bytes.fromhex("16030100a5010000a1030300") + bytes(160), {400}),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", {400}),
    "SMTP": (b"EHLO localhost\r\nMAIL FROM:<a@b>\r\n\r\n", {400}),
    "a proxy's preamble": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n", {400}),
    "every byte": (bytes(range(256)) * 4, {400}),
    "NULs": (bytes(5000), {400}),
    "spaces": (b" " * 500 + b"\r\n\r\n", {400}),
    "two spaces": (b"GET  /health  HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "tabs": (b"GET\t/health\tHTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a space in the target": (b"GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a control in the target": (b"GET /he\x01alth HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "no target": (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a method that is not ASCII": (b"G\xc3\x84T / HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a method in brackets": (b"[GET] / HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a long method": (b"A" * 3000 + b" /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                      {400, 405}),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {404, 405}),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {404, 405}),
    "a target without slash": (b"GET health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                               {400, 404}),
    "bytes over 127": (b"GET /h\xc3\xa4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                       {400, 404}),
    "no UTF-8": (b"GET /h\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404}),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_request(service: Service, name: str) -> None:
    """A 4xx or a closed connection, never more than one answer, and nothing of the inside."""
    data, statuses = RAW[name]
    answers = service.send(data, half_close=False)
    assert len(answers) <= 1
    assert [answer.status in statuses and answer.is_decent() for answer in answers] in ([], [True])
    assert answers or name in {"HTTP/2 by prior knowledge", "SSH"}
    assert service.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\nHost: x\nConnection: close\n\n", 200),
        (b"GET http://x/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET http://evil.example:1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET http://x/v1/objects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 401),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"GET /health#part HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: h2c, websocket\r\nConnection: Upgrade, close"
         b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
         200),
    ],
)  # fmt: skip
def test_what_is_a_request_all_the_same(service: Service, data: bytes, status: int) -> None:
    """Leading empty lines, absolute targets, HTTP/1.0 and upgrades that are not taken up."""
    answers = service.send(data, half_close=False)
    assert [answer.status for answer in answers] == [status]


def test_an_absolute_target_is_the_same_object(service: Service, tenant: str) -> None:
    """And passes the same checks: the host in it names nothing here."""
    path = f"/v1/objects/by-key/ns/{tenant}/k"
    assert service.ask("PUT", f"http://x{path}", body=b"hello").status == 201
    assert service.ask("GET", f"http://other.example{path}").body == b"hello"
    assert service.ask("GET", f"http://x{path}", key=None).status == 401


@pytest.mark.parametrize("extra", [120, 5000])
def test_a_flood_of_fields(service: Service, extra: int) -> None:
    """More than a hundred fields are 431, by the server itself."""
    fields = [f"X-{at}: a" for at in range(extra)]
    answers = service.send(service.head("GET", ANY, *fields, CLOSE), half_close=False)
    assert [answer.status for answer in answers] == [431]


@pytest.mark.parametrize(
    "fields",
    [
        ["X-A: " + "a" * 17_000],
        ["X-A: " + "a" * 100_000],
        ["X-A: " + "a" * 300] * 60,
        [f"X-{at}: {'a' * 1000}" for at in range(20)],
        ["Authorization: Bearer " + "a" * 20_000],
        ["X-Object-Metadata: {}" + " " * 20_000 + "x"],
    ],
    ids=["long", "very long", "one name", "many", "token", "metadata"],
)
def test_fields_over_the_limit(service: Service, fields: list[str]) -> None:
    """431 with a problem document, before who is calling is looked at."""
    answer = service.ask("GET", ANY, *fields, key=None)
    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_targets_over_the_limit(service: Service) -> None:
    """The target counts too; beyond 64 KiB the server answers 414 itself."""
    answer = service.ask("GET", "/" + "a" * 17_000)
    assert (answer.status, answer.code) == (431, "headers_too_large")
    answer = service.ask("GET", "/v1/objects?cursor=" + "a" * 17_000)
    assert (answer.status, answer.code) == (431, "headers_too_large")
    answers = service.send(service.head("GET", "/" + "a" * 70_000, CLOSE), half_close=False)
    assert [answer.status for answer in answers] == [414]
    assert service.ask("GET", "/health", "X-A: " + "a" * 15_000).status == 200


def test_a_head_of_megabytes(service: Service) -> None:
    """The server stops reading long before the end of it."""
    data = service.head("GET", ANY, "X-A: " + "a" * 5_000_000, CLOSE)
    answers = service.send(data, half_close=False)
    assert [answer.status for answer in answers] in ([], [431])


@pytest.mark.parametrize("drip", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_slow_heads_are_cut(service: Service, drip: bytes) -> None:
    """A head that is not complete in time ends the connection, whatever still drips in."""
    began = time.monotonic()
    with service.connect() as wire:
        wire.settimeout(0.2)
        if not drip:
            drip = b"G"
        try:
            wire.sendall(drip)
            while time.monotonic() - began < PATIENCE_S:
                try:
                    if not wire.recv(1000):
                        break
                except TimeoutError:
                    wire.sendall(b"a")
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert 0.5 < time.monotonic() - began < 10


def test_a_hundred_slow_heads_hold_nobody_up(service: Service) -> None:
    """Others are served meanwhile."""
    waiting = [service.connect() for _ in range(100)]
    try:
        for wire in waiting:
            wire.sendall(b"GET /health HTTP/1.1\r\n")
        assert service.ask("GET", "/health").status == 200
    finally:
        for wire in waiting:
            wire.close()


def test_two_keys_on_lines_of_one_field(service: Service) -> None:
    """A bare LF ends a line, as the standard lets it: what it begins is a field of its own."""
    answer = service.ask("GET", ANY, f"X-A: a\nX-API-Key: {KEY}")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_the_connection_goes_on_after_a_refusal(service: Service) -> None:
    """431, 401, 404 and 405 of requests without a body leave the connection usable."""
    with service.connect() as wire:
        wire.sendall(
            service.head("GET", ANY, "X-A: " + "a" * 17_000)
            + service.head("GET", ANY, key=None)
            + service.head("GET", "/nothing")
            + service.head("BREW", "/health")
            + service.head("GET", "/health", CLOSE)
        )
        assert [answer.status for answer in read_answers(wire)] == [431, 401, 404, 405, 200]
