"""The requests under way, so that an ending server can wait for them and, at last, cut them off."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio

from juststorage_api._asgi import Application, Receive, Scope, Send

__all__ = ["InFlight"]


class InFlight:
    """An ASGI application around another one that knows which requests are being worked on.

    A response that has left the socket is not the end of its request: the application may still be
    closing a file or writing its log line, and needs what it was given for that.
    """

    def __init__(self, application: Application) -> None:
        self.inner = application
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_cut = False
        self._idle: anyio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.inner(scope, receive, send)
        except asyncio.CancelledError:
            # It has said so to its client. The server sees that it returned, and closes.
            if not self._is_cut:
                raise
        finally:
            self._tasks.discard(task)
            if self._idle is not None and not self._tasks:
                self._idle.set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def wait_idle(self) -> None:
        """Wait until no request is under way."""
        if self._tasks:
            self._idle = anyio.Event()
            await self._idle.wait()

    def cut(self) -> None:
        """Cancel every request. What its client is told is the application's business."""
        self._is_cut = True
        for task in self._tasks:
            task.cancel()
