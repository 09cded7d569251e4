"""Why and when a worker stops: signals, its supervisor's word, or a service that fell over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType

import anyio

__all__ = ["HURRY_AFTER_S", "STOP_SIGNALS", "Stopping"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

HURRY_AFTER_S = 1.0
"""A second signal within this time is an echo of the first."""


class Stopping:
    """Belongs to the running event loop; make it inside.

    The first SIGTERM or SIGINT asks for an orderly end; one more, at least a second later, cuts the
    waiting short, so that nobody has to reach for SIGKILL. (Not sooner: `timeout`, or an init that
    signals a whole group, may deliver one request twice.)

    Below a supervisor only its word hurries us: systemd, for one, sends SIGTERM to every process of
    a service, and our supervisor sends one too.

    Args:
        parent: Read end of a pipe whose other end only the supervisor holds. A byte means hurry;
            end of file means that it is gone, and a worker without one must not hold the port. None
            when there is no supervisor.
    """

    def __init__(self, parent: int | None) -> None:
        self.asked = anyio.Event()
        self.on_ask: Callable[[], None] = _nothing
        self.on_hurry: Callable[[], None] = _nothing
        self.fatal: str | None = None
        self.may_delay = True
        """Whether others get time to notice: not while a person waits, nor once all is lost."""
        self._hurry_from_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._is_alone = parent is None
        # Not the loop's own handlers: it takes them away when it closes, and the process is not
        # over then.
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._handle)
        if parent is not None:
            self._loop.add_reader(parent, self._told, parent)
        # A supervisor starts us with signals blocked, so that none comes before these handlers.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOP_SIGNALS, signal.SIGCHLD})

    def ask(self) -> None:
        """Stop, in order. Asking again changes nothing."""
        if not self.asked.is_set():
            self._hurry_from_s = self._loop.time() + HURRY_AFTER_S
            self.asked.set()
            self.on_ask()

    def fall(self, reason: str) -> None:
        """Stop because the service cannot work any more; the exit code says so."""
        self.fatal = self.fatal or reason
        self.may_delay = False
        self.ask()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        # It interrupts anything, so it only leaves word.
        self._loop.call_soon_threadsafe(self._signalled, signum)

    def _signalled(self, signum: int) -> None:
        if not self.asked.is_set():
            self.may_delay = self.may_delay and signum != signal.SIGINT
            self.ask()
        elif self._is_alone and self._loop.time() >= self._hurry_from_s:
            self.on_hurry()

    def _told(self, parent: int) -> None:
        if os.read(parent, 1):
            self.on_hurry()
        else:
            self._loop.remove_reader(parent)
            self.ask()


def _nothing() -> None:
    pass
