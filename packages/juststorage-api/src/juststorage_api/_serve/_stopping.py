"""Why and when a worker stops: signals, its supervisor's death, or a service that fell over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import anyio

__all__ = ["Stopping"]


class Stopping:
    """Belongs to the running event loop; make it inside.

    The first SIGTERM or SIGINT asks for an orderly end; one more cuts the waiting short, so that
    nobody has to reach for SIGKILL.

    Args:
        parent: Read end of a pipe whose other end only the supervisor holds: end of file means that
            it is gone, and a worker without one must not hold the port. None when there is none.
    """

    def __init__(self, parent: int | None) -> None:
        self.asked = anyio.Event()
        self.on_ask: Callable[[], None] = _nothing
        self.on_hurry: Callable[[], None] = _nothing
        self.fatal: str | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTERM, self.ask)
        if parent is None:
            self._loop.add_signal_handler(signal.SIGINT, self.ask)
        else:
            # A terminal sends SIGINT to all of us; what follows from it is the supervisor's word.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._loop.add_reader(parent, self._orphaned, parent)
        # A supervisor starts us with signals blocked, so that none comes before these handlers.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

    def ask(self) -> None:
        """Stop; asked again: hurry."""
        if self.asked.is_set():
            self.on_hurry()
        else:
            self.asked.set()
            self.on_ask()

    def fall(self, reason: str) -> None:
        """Stop because the service cannot work any more; the exit code says so."""
        self.fatal = self.fatal or reason
        if not self.asked.is_set():
            self.ask()

    def _orphaned(self, parent: int) -> None:
        if not os.read(parent, 1):
            self._loop.remove_reader(parent)
            self.ask()


def _nothing() -> None:
    pass
