"""Held: a service that is kept open in a task of its own.

A backend's context manager may hold cancel scopes, which must be left in the task that entered them
and in reverse order. One task for each service gives it that whatever the caller does, and gives
three more things: a caller who is cancelled does not cancel the closing; a service that is still
opening can be cancelled alone; and one that falls over by itself is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

__all__ = ["CLOSE_TIMEOUT_S", "Held"]

CLOSE_TIMEOUT_S = 30.0
"""A service that takes longer to close is cancelled."""

ServiceT = TypeVar("ServiceT")


class Held(Generic[ServiceT]):
    """One service, from opening to closing.

    Args:
        manager: What opens and closes it.
        on_lost: Told when it ends without having been asked to.
    """

    def __init__(
        self,
        manager: AbstractAsyncContextManager[ServiceT],
        on_lost: Callable[[BaseException | None], None],
    ) -> None:
        self._manager = manager
        self._on_lost = on_lost
        self._life = anyio.CancelScope(shield=True)
        self._settled = anyio.Event()
        self._stop = anyio.Event()
        self._closed = anyio.Event()
        self._services: list[ServiceT] = []
        self._error: Exception | None = None

    async def open(self, tasks: TaskGroup) -> ServiceT:
        """Open it, and keep it open until `aclose`.

        Cancellation: the opening is cancelled, and waited for.

        Raises:
            Exception: What its opening raised.
        """
        tasks.start_soon(self._hold)
        try:
            await self._settled.wait()
        except BaseException:
            # It may have opened in the same moment; then it is closed and not cancelled.
            self._stop.set()
            if not self._settled.is_set():
                self._life.cancel()
            with anyio.CancelScope(shield=True):
                await self._closed.wait()
            raise
        if self._services:
            return self._services[0]
        assert self._error is not None
        raise self._error

    async def aclose(self) -> None:
        """Close it, and wait for that. A caller who must not be cancelled here shields the call.

        Raises:
            Exception: What its closing raised.
            TimeoutError: It took too long and was cancelled.
        """
        self._stop.set()
        with anyio.move_on_after(CLOSE_TIMEOUT_S):
            await self._closed.wait()
        if not self._closed.is_set():
            self._life.cancel()
            await self._closed.wait()
            raise TimeoutError(f"closing took over {CLOSE_TIMEOUT_S:.0f} s and was cancelled")
        if self._error is not None:
            raise self._error

    async def _hold(self) -> None:
        try:
            with self._life:
                async with self._manager as service:
                    self._services.append(service)
                    self._settled.set()
                    await self._stop.wait()
        except Exception as error:  # noqa: BLE001  kept for whoever opens or closes
            self._error = error
        finally:
            opened = bool(self._services)
            self._settled.set()
            self._closed.set()
        if opened and not self._stop.is_set():
            self._on_lost(self._error)
