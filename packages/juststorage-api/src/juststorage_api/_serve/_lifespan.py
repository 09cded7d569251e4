"""The lifespan half of ASGI, driven by us.

Granian would drive it too, but it sends the shutdown as soon as the last response has left, while
requests may still be working; and a start that fails would end as a line in a log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from juststorage.errors import Unavailable
from juststorage_api._asgi import Application

__all__ = ["lifespan"]


class _Lifespan:
    def __init__(self, application: Application) -> None:
        self._application = application
        self._asked = anyio.Event()
        self._told_startup = False
        self.scope = anyio.CancelScope(shield=True)  # it ends by its shutdown, not by ours
        self.started = anyio.Event()
        self.ended = anyio.Event()
        self.failure: str | None = None
        self.error: Exception | None = None

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            with self.scope:
                await self._application(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  raised again where the lifespan is entered or left
            self.error = error
        finally:
            self.started.set()
            self.ended.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._told_startup:
            self._told_startup = True
            return {"type": "lifespan.startup"}
        await self._asked.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Any) -> None:
        kind = message["type"]
        if kind.endswith(".failed"):
            self.failure = message.get("message") or kind
        if kind.startswith("lifespan.startup."):
            self.started.set()

    def ask_to_end(self) -> None:
        self._asked.set()

    def raise_problem(self) -> None:
        if self.error is not None:
            raise self.error
        if self.failure is not None:
            raise Unavailable(self.failure)


@asynccontextmanager
async def lifespan(application: Application) -> AsyncIterator[None]:
    """Start the application, and shut it down at the end, also when cancelled.

    Raises:
        Exception: What the application raised while it started or shut down.
        Unavailable: It reported a failure; in its words.
    """
    life = _Lifespan(application)
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.run)
        try:
            await life.started.wait()
        finally:
            if not life.started.is_set():
                life.scope.cancel()
        if life.error is None and life.failure is None:
            # The task group would wrap what the caller's block raises, hence the detour.
            try:
                yield
            except BaseException as error:  # noqa: BLE001  raised again below
                failure = error
        life.ask_to_end()
        with anyio.CancelScope(shield=True):
            await life.ended.wait()
    if failure is not None:
        raise failure
    life.raise_problem()
