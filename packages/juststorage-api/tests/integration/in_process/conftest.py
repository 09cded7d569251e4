"""The application without a server: called as any ASGI server would, message by message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from juststorage.runtime import Runtime, open_runtime
from juststorage_api.application import create_application

KEY = "k" * 32
CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": ["api_key"], "api_key": {"bootstrap_key": KEY}},
    "uploads": {"small_bytes": 16, "idle_timeout_s": 5, "min_rate_bytes_s": 100},
}


class InProcess:
    """An application whose lifespan runs while this is entered."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.lifespan: list[dict[str, Any]] = []
        self._ending = anyio.Event()
        self._told = anyio.Event()

    async def __aenter__(self) -> InProcess:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._live)
        await self._told.wait()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        self._ending.set()
        await self._tasks.__aexit__(None, None, None)

    async def _live(self) -> None:
        messages = iter([{"type": "lifespan.startup"}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await self._ending.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: dict[str, Any]) -> None:
            self.lifespan.append(message)
            self._told.set()

        await self.application({"type": "lifespan", "state": {}}, receive, send)

    async def call(
        self,
        method: str,
        path: str,
        *messages: dict[str, Any],
        headers: dict[str, str] | None = None,
        sent: list[dict[str, Any]] | None = None,
        **scope: Any,
    ) -> list[dict[str, Any]]:
        """Send a request, its body given as ASGI messages; every message of the answer.

        They are put into `sent` as they come, where a test gives a list.
        """
        pending = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        sent = [] if sent is None else sent

        async def receive() -> dict[str, Any]:
            if not pending:
                await anyio.sleep_forever()  # the client waits for its answer
            return pending.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        fields = {"host": "x", "x-api-key": KEY, **(headers or {})}
        path, _, query = path.partition("?")
        await self.application(
            {
                "type": "http",
                "http_version": "1.1",
                "method": method,
                "path": path,
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
                **scope,
            },
            receive,
            send,
        )
        return sent


Open = Callable[[], AbstractAsyncContextManager[Runtime]]


@pytest.fixture
def started() -> Callable[..., InProcess]:
    """Makes an application in process, over the memory stores unless told otherwise."""

    def make(opened: Open | None = None, plugins: tuple[object, ...] = ()) -> InProcess:
        @asynccontextmanager
        async def open_memory() -> AsyncIterator[Runtime]:
            async with open_runtime(CONFIG, plugins=plugins) as runtime:
                yield runtime

        return InProcess(create_application(opened or open_memory))

    return make


@pytest.fixture
async def app(started: Callable[..., InProcess]) -> AsyncIterator[InProcess]:
    """A started application."""
    async with started() as application:
        yield application
    assert application.lifespan[-1]["type"] == "lifespan.shutdown.complete"
