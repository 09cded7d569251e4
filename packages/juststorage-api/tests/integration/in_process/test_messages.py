"""What servers may do that Granian does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

URL = "/v1/objects/by-key/ns/t/k"


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    """A message of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


def status(sent: list[dict[str, Any]]) -> int:
    """The status, after a look at the form of the answer."""
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert sent[-1]["type"] == "http.response.body"
    assert not sent[-1]["more_body"]
    found: int = sent[0]["status"]
    return found


def body(sent: list[dict[str, Any]]) -> bytes:
    """The body."""
    return b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize(
    ("length", "messages", "expected"),
    [
        (5, [part(b"hel", True), part(b"lo")], 201),
        (5, [part(b"hello", True)], 201),
        (5, [part(b"", True), part(b"hello"), part(b"", False)], 201),
        (5, [part(b"hel", True), part(b"")], 400),
        (5, [part(b"hel")], 400),
        (5, [part(b"hello!")], 400),
        (5, [part(b"hel", True), {"type": "http.disconnect"}], 400),
        (50, [part(b"h" * 25, True), part(b"h" * 25)], 201),
        (50, [part(b"h" * 25, True), part(b"h" * 24)], 400),
        (50, [part(b"h" * 25, True), part(b"h" * 26, True)], 400),
        (50, [part(b"h" * 25, True), {"type": "http.disconnect"}], 400),
        (0, [{"type": "http.disconnect"}], 201),
    ],
)
async def test_bodies_in_pieces(
    app: Any, length: int, messages: list[dict[str, Any]], expected: int
) -> None:
    """Content-Length decides where a body ends, whatever the server thinks."""
    sent = await app.call("PUT", URL, *messages, headers={"content-length": str(length)})
    assert status(sent) == expected
    assert (status(await app.call("GET", URL)) == 200) == (expected == 201)


async def test_http2_needs_no_length(app: Any) -> None:
    """There a body may come with neither length nor coding."""
    sent = await app.call("PUT", URL, part(b"he", True), part(b"llo"), http_version="2")
    assert json.loads(body(sent))["size_bytes"] == 5


async def test_a_server_without_raw_paths(app: Any) -> None:
    """`raw_path` is optional in ASGI."""
    url = "/v1/objects/by-key/ns/t/ä b"
    created = await app.call("PUT", url, part(b"x"), headers={"content-length": "1"}, raw_path=None)
    assert json.loads(body(created))["key"] == "ä b"
    assert body(await app.call("GET", url, raw_path=None)) == b"x"


async def test_a_server_that_would_send_a_file_by_its_path_is_not_asked_to(app: Any) -> None:
    """It would open the file after the answer is decided, when a collector may have moved it."""
    data = bytes(2_000_000)
    length = {"content-length": str(len(data))}
    await app.call("PUT", URL, part(data), headers=length)
    sent = await app.call("GET", URL, extensions={"http.response.pathsend": {}})
    assert {message["type"] for message in sent} == {"http.response.start", "http.response.body"}
    assert body(sent) == data


async def test_a_small_download_is_two_messages(app: Any) -> None:
    """Head and body, so that a server can write them at once."""
    await app.call("PUT", URL, part(b"hello"), headers={"content-length": "5"})
    sent = await app.call("GET", URL)
    assert len(sent) == 2


async def test_a_large_download_stops_when_the_client_leaves(app: Any) -> None:
    """Nothing is sent after a disconnect, and the answer is never ended as if it were whole."""
    data = bytes(2_000_000)
    await app.call("PUT", URL, part(data), headers={"content-length": str(len(data))})
    sent = await app.call("GET", URL, {"type": "http.disconnect"})
    assert len(body(sent)) < len(data)
    assert sent[-1].get("more_body", True)
