"""The application's beginning and end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from juststorage.errors import Misconfigured, Unavailable
from juststorage.runtime import Runtime, open_runtime
from juststorage_api.application import create_application


async def test_the_runtime_is_open_exactly_as_long(started: Callable[..., Any]) -> None:
    """Opened at startup, closed at shutdown, in one task."""
    seen: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        config = {"metadata": {"backend": "memory"}, "blobs": {"hot": {"backend": "memory"}}}
        async with open_runtime(config) as runtime:
            seen.append("open")
            yield runtime
            seen.append("close")

    async with started(opened) as application:
        assert seen == ["open"]
        assert application.lifespan == [{"type": "lifespan.startup.complete"}]
    assert seen == ["open", "close"]
    assert application.lifespan[-1] == {"type": "lifespan.shutdown.complete"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Misconfigured("metadata.backend is not set"), "metadata.backend is not set"),
        (ValueError("/secret/path"), "the service did not open"),
    ],
)
async def test_what_does_not_open_is_told(
    started: Callable[..., Any], error: Exception, message: str
) -> None:
    """The server hears why, as far as it may be shown."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        raise error
        yield

    async with started(opened) as application:
        pass
    assert application.lifespan == [{"type": "lifespan.startup.failed", "message": message}]


async def test_what_does_not_close_is_told(started: Callable[..., Any]) -> None:
    """An error at the end is not a start that failed."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        config = {"metadata": {"backend": "memory"}, "blobs": {"hot": {"backend": "memory"}}}
        async with open_runtime(config) as runtime:
            yield runtime
        raise Unavailable("it would not close")

    async with started(opened) as application:
        pass
    assert application.lifespan[-1] == {
        "type": "lifespan.shutdown.failed",
        "message": "it would not close",
    }


async def test_without_a_lifespan_nothing_is_served() -> None:
    """A server that leaves it out gets an error, not an application without stores."""
    application = create_application(lambda: open_runtime({}))
    with pytest.raises(RuntimeError, match="lifespan"):
        await application({"type": "http"}, _never, _never)


async def test_websockets_are_closed(app: Any) -> None:
    """There are none here."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app.application({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def _never(*arguments: Any) -> Any:
    raise AssertionError("nothing is received or sent")
