"""Rate limits in the whole application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from juststorage.runtime import Runtime, open_runtime

KEY = "k" * 32
CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": ["api_key"], "api_key": {"bootstrap_key": KEY}},
}
URL = "/v1/objects/by-key/ns/t1/k"


@pytest.fixture
def limited(started: Callable[..., Any]) -> Callable[..., Any]:
    """Makes an application with these limits."""

    def make(**limits: Any) -> Any:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Runtime]:
            # A day: no window ends during a test, but for one at midnight.
            configured = {"rate_limits": {"window_s": 86_400} | limits}
            async with open_runtime(CONFIG | configured) as runtime:
                yield runtime

        return started(opened)

    return make


def head(answer: list[dict[str, Any]]) -> tuple[int, dict[str, str]]:
    """Status and fields."""
    fields = {name.decode(): value.decode() for name, value in answer[0]["headers"]}
    return answer[0]["status"], fields


async def test_the_answer_to_one_too_many(limited: Callable[..., Any]) -> None:
    """429 with a time to come back; until then every answer tells what is left."""
    async with limited(requests_per_key=3) as app:
        for left in ("2", "1", "0"):
            status, fields = head(await app.call("GET", URL))
            assert (status, fields["ratelimit-remaining"]) == (404, left)
            assert fields["ratelimit-limit"] == "3"
            assert fields["ratelimit-policy"] == "3;w=86400"
            assert 1 <= int(fields["ratelimit-reset"]) <= 86_400
        answer = await app.call("GET", URL)
        status, fields = head(answer)
        document = json.loads(answer[1]["body"])
        assert (status, document["code"]) == (429, "rate_limited")
        assert 1 <= int(fields["retry-after"]) <= 86_400
        assert fields["ratelimit-remaining"] == "0"
        assert (document["limit"], document["window_s"]) == (3, 86_400)


async def test_a_refused_upload_leaves_nothing(limited: Callable[..., Any]) -> None:
    """It is refused before its body is asked for."""
    async with limited(requests_per_key=1) as app:
        await app.call("GET", URL)
        headers = {"content-length": "5", "expect": "100-continue"}
        status, _ = head(await app.call("PUT", URL, headers=headers))
        assert status == 429


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", URL, None),
        ("GET", "/v1/objects?tenant_id=t1", None),
        ("PUT", URL, b"x"),
        ("POST", "/v1/objects/delete", b'{"tenant_id": "t1", "ids": []}'),
        ("POST", "/v1/objects/search", b'{"tenant_id": "t1"}'),
    ],
)
async def test_a_tenant_is_limited_wherever_it_is_named(
    limited: Callable[..., Any], method: str, url: str, body: bytes | None
) -> None:
    """In the path, the query or the body; other tenants go on."""
    async with limited(requests_per_tenant=1) as app:
        assert head(await app.call("GET", URL))[0] == 404
        message = {"type": "http.request", "body": body or b"", "more_body": False}
        headers = {"content-length": str(len(body or b"")), "content-type": "application/json"}
        status, fields = head(await app.call(method, url, message, headers=headers))
        assert (status, fields["ratelimit-remaining"]) == (429, "0")
        assert head(await app.call("GET", URL.replace("t1", "t2")))[0] == 404


async def test_bytes_count_in_both_directions(limited: Callable[..., Any]) -> None:
    """What goes in and what comes out; one that began is never cut off."""
    async with limited(bytes_per_tenant=250) as app:
        message = {"type": "http.request", "body": b"x" * 200, "more_body": False}
        headers = {"content-length": "200", "content-type": "text/plain"}
        status, fields = head(await app.call("PUT", URL, message, headers=headers))
        assert status == 201
        assert "ratelimit-limit" not in fields
        status, fields = head(await app.call("GET", URL))
        assert (status, fields["ratelimit-limit"]) == (429, "250")
        assert head(await app.call("GET", URL.replace("t1", "t2")))[0] == 404


async def test_what_is_open_is_not_limited(limited: Callable[..., Any]) -> None:
    """Health has no caller, and a refused credential counts for nobody."""
    async with limited(requests_per_key=1) as app:
        for _ in range(3):
            status, fields = head(await app.call("GET", "/health"))
            assert (status, "ratelimit-limit" in fields) == (200, False)
            status, fields = head(await app.call("GET", URL, headers={"x-api-key": "z" * 32}))
            assert (status, "ratelimit-limit" in fields) == (401, False)
        assert head(await app.call("GET", URL))[0] == 404


async def test_without_limits_nothing_is_told(limited: Callable[..., Any]) -> None:
    """No field, no refusal."""
    async with limited() as app:
        for _ in range(50):
            status, fields = head(await app.call("GET", URL))
            assert (status, "ratelimit-limit" in fields) == (404, False)
