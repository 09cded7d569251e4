"""Bodies that are late, short, long, endless or cut off, and refusals before the first byte."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

HELLO = b"hello"


@pytest.fixture
def head(api: Any, base: str) -> Callable[..., bytes]:
    """Makes the head of a PUT."""

    def make(
        *fields: str, url: str = f"{base}/k", key: str = "admin", method: str = "PUT"
    ) -> bytes:
        lines = [f"{method} {url} HTTP/1.1", "Host: x", f"X-API-Key: {api.secret(key)}", *fields]
        return "\r\n".join([*lines, "", ""]).encode()

    return make


def _await_quiet(api: Any) -> dict[str, Any]:
    """The state once uploads that a client has left are cleaned up."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state: dict[str, Any] = api.state()
        if not state["staged"] and not any("WRITING" in name for name in state["objects"]):
            return state
    raise AssertionError(f"something is left behind: {state}")


Head = Callable[..., bytes]


def test_chunks(api: Any, base: str, head: Head) -> None:
    """A body without a length is taken in chunks."""
    answer = api.raw(
        head("Transfer-Encoding: chunked") + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
    )
    assert answer.status == 201
    assert api.call("GET", f"{base}/k").body == HELLO


def test_expect_is_honoured(api: Any, head: Head) -> None:
    """The client is told to go on, then gets its answer."""
    with api.connect() as wire:
        wire.sendall(head("Content-Length: 5", "Expect: 100-continue"))
        assert wire.recv(100).startswith(b"HTTP/1.1 100 ")
        wire.sendall(HELLO)
        assert api.read_answer(wire).status == 201


REFUSED_EARLY: dict[str, tuple[dict[str, str], list[str], int, str]] = {
    "unknown": ({"key": "stranger"}, [], 401, "unauthenticated"),
    "no scope": ({"key": "reader"}, [], 403, "scope_missing"),
    "foreign tenant": ({"key": "one"}, [], 403, "tenant_forbidden"),
    "held key": (
        {"method": "POST", "url": "/v1/objects?namespace=ns&tenant_id=early&key=held"},
        [],
        409,
        "key_conflict",
    ),
    "create only": (
        {"url": "/v1/objects/by-key/ns/early/held"},
        ["If-None-Match: *"],
        412,
        "precondition_failed",
    ),
    "other tag": (
        {"url": "/v1/objects/by-key/ns/early/held"},
        ['If-Match: "x"'],
        412,
        "precondition_failed",
    ),
    "too large": ({}, ["Content-Length: 20000001"], 413, "body_too_large"),
    "no room": (
        {"url": "/v1/objects/by-key/ns/early/big?storage_class=cold"},
        ["Content-Length: 10000001"],
        507,
        "storage_full",
    ),
    "bad name": ({"url": "/v1/objects/by-key/-/early/k"}, [], 400, "invalid_name"),
    "coding": ({}, ["Content-Encoding: gzip"], 415, "unsupported_media_type"),
    "form": (
        {},
        ["Content-Type: Multipart/Form-Data ; boundary=x"],
        415,
        "unsupported_media_type",
    ),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
def test_refusals_come_before_the_body(api: Any, head: Head, name: str) -> None:
    """With Expect, every refusal that needs no body comes instead of 100 Continue."""
    api.call("PUT", "/v1/objects/by-key/ns/early/held", body=HELLO)
    options, fields, status, code = REFUSED_EARLY[name]
    if not any(field.startswith("Content-Length") for field in fields):
        fields = [*fields, "Content-Length: 5"]
    request = head(*fields, "Expect: 100-continue", **options)
    answer = api.raw(request)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["connection"] == "close"
    _await_quiet(api)


@pytest.mark.parametrize("length", [5, 100_000], ids=["small", "large"])
def test_a_body_that_ends_early(api: Any, base: str, head: Head, length: int) -> None:
    """A connection that ends before Content-Length is reached stores nothing; 400 if it is read."""
    answer = api.raw(head(f"Content-Length: {length}") + b"hel", half_close=True)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert api.call("GET", f"{base}/k").status == 404
    _await_quiet(api)


@pytest.mark.parametrize(
    "rest", [b"5\r\nhel", b"5\r\nhello\r\n", b"zz\r\n", b"5\r\nhelloXX0\r\n\r\n"]
)
def test_chunks_that_break_off(api: Any, base: str, head: Head, rest: bytes) -> None:
    """Without the last chunk a chunked body is not complete, whatever came."""
    answer = api.raw(head("Transfer-Encoding: chunked") + rest, half_close=True)
    assert answer.status == 400
    assert api.call("GET", f"{base}/k").status == 404
    _await_quiet(api)


def test_bytes_behind_the_body_are_not_part_of_it(api: Any, base: str, head: Head) -> None:
    """A body longer than Content-Length is cut where it was said to end."""
    assert api.raw(head("Content-Length: 5") + b"hello, world").status == 201
    assert api.call("GET", f"{base}/k").body == HELLO


@pytest.mark.parametrize("fields", [["Content-Length: 100000"], ["Transfer-Encoding: chunked"]])
def test_a_client_that_goes_away(api: Any, base: str, head: Head, fields: list[str]) -> None:
    """A connection that is reset in the middle of an upload leaves nothing."""
    wire = api.connect()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.sendall(head(*fields) + b"2710\r\n" + bytes(10_000) + b"\r\n")
    wire.close()
    _await_quiet(api)
    assert api.call("GET", f"{base}/k").status == 404


@pytest.mark.parametrize(
    "fields",
    [["Content-Length: 5"], ["Content-Length: 100000"], ["Transfer-Encoding: chunked"]],
    ids=["small", "large", "chunked"],
)
def test_a_body_that_stands_still(api: Any, base: str, head: Head, fields: list[str]) -> None:
    """After the idle time the upload is given up with 408."""
    answer = api.raw(head(*fields))
    assert (answer.status, answer.code) == (408, "upload_too_slow")
    assert answer.headers["connection"] == "close"
    assert api.call("GET", f"{base}/k").status == 404
    _await_quiet(api)


def test_a_form_is_told_what_to_send_instead(api: Any, base: str) -> None:
    """`curl -F` is the habit of many: the hint says what to type, and nothing is stored."""
    body = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nhello\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = api.call("PUT", f"{base}/k", body=body, headers=headers)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert "curl -T file" in answer.json["detail"]
    assert api.call("GET", f"{base}/k").status == 404


def test_other_multipart_types_are_content(api: Any, base: str) -> None:
    """A stored e-mail or a multipart of another kind is what it says it is."""
    headers = {"Content-Type": "multipart/mixed; boundary=x"}
    api.put(f"{base}/k", b"--x--", headers=headers)
    assert api.call("GET", f"{base}/k").headers["content-type"] == "multipart/mixed; boundary=x"


def test_an_endless_body_is_counted(api: Any, base: str, head: Head) -> None:
    """A chunked body over the limit is refused in its middle, and the client can read that."""
    chunk = b"f4240\r\n" + bytes(1_000_000) + b"\r\n"
    with api.connect() as wire:
        wire.sendall(head("Transfer-Encoding: chunked"))
        for _ in range(25):
            wire.sendall(chunk)
        answer = api.read_answer(wire, url=f"{base}/k")
    assert (answer.status, answer.code) == (413, "body_too_large")
    _await_quiet(api)


@pytest.mark.parametrize("size", [3, 60_000, 3_000_000])
def test_a_client_that_does_not_wait_hears_the_refusal(api: Any, head: Head, size: int) -> None:
    """A refusal reaches a client that goes on sending its body all the same."""
    with api.connect() as wire:
        wire.sendall(head(f"Content-Length: {size}", key="reader"))
        wire.sendall(bytes(size))
        assert api.read_answer(wire).status == 403


def test_a_client_that_sends_on_after_the_refusal_loses_nothing(api: Any, head: Head) -> None:
    """The connection stays until the body is through: sending goes on, and the answer is whole."""
    size, piece = 3_000_000, 60_000
    with api.connect() as wire:
        wire.sendall(head(f"Content-Length: {size}", key="reader") + bytes(piece))
        assert wire.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 403"
        for _ in range(size // piece - 1):
            wire.sendall(bytes(piece))
        assert api.read_answer(wire).json["code"] == "scope_missing"


def test_a_small_refused_body_keeps_the_connection(api: Any, head: Head) -> None:
    """The next request on the same connection is answered."""
    with api.connect() as wire:
        for _ in range(2):
            wire.sendall(head("Content-Length: 5", key="reader") + HELLO)
            assert api.read_answer(wire).status == 403
        wire.sendall(head("Content-Length: 5") + HELLO)
        assert api.read_answer(wire).status == 201


@pytest.mark.parametrize("size", [5, 100_000])
def test_a_wrong_digest_stores_nothing(api: Any, base: str, size: int) -> None:
    """Held in memory or streamed, the digest is checked before commit."""
    headers = {"X-Content-Hash": api.digest(b"something else")}
    answer = api.call("PUT", f"{base}/k", body=bytes(size), headers=headers)
    assert (answer.status, answer.code) == (400, "digest_mismatch")
    assert api.call("GET", f"{base}/k").status == 404
    _await_quiet(api)


def test_a_claimed_key_is_taken(api: Any, tenant: str, head: Head) -> None:
    """A POST claims its key from begin on: the second one is 409, the holder's hash unknown yet."""
    url = f"/v1/objects?namespace=ns&tenant_id={tenant}&key=k"
    with api.connect() as wire:
        wire.sendall(head("Content-Length: 5", "Expect: 100-continue", url=url, method="POST"))
        assert wire.recv(100).startswith(b"HTTP/1.1 100 ")
        answer = api.call("POST", url, body=HELLO)
        assert (answer.status, answer.code) == (409, "key_conflict")
        assert answer.json["content_hash"] is None
        wire.sendall(HELLO)
        first = api.read_answer(wire)
    assert first.status == 201
    assert first.json["id"] == answer.json["object_id"]


def test_a_put_takes_the_key_from_a_post_that_is_still_writing(
    api: Any, base: str, tenant: str, head: Head
) -> None:
    """The POST then loses its claim and answers 409 at its commit."""
    url = f"/v1/objects?namespace=ns&tenant_id={tenant}&key=k"
    with api.connect() as wire:
        wire.sendall(head("Content-Length: 5", "Expect: 100-continue", url=url, method="POST"))
        assert wire.recv(100).startswith(b"HTTP/1.1 100 ")
        api.put(f"{base}/k", b"other")
        wire.sendall(HELLO)
        answer = api.read_answer(wire, url=url)
    assert (answer.status, answer.code) == (409, "upload_expired")
    assert api.call("GET", f"{base}/k").body == b"other"
    _await_quiet(api)
