"""Clocks for tests: one that only moves when told, and the machine's own."""

from __future__ import annotations

import heapq
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import anyio
import anyio.lowlevel

from juststorage.ports import Clock

__all__ = ["FakeClock", "SystemClock"]


class SystemClock(Clock):
    """The time of this machine."""

    def now(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for real; tests should not get here."""
        await anyio.sleep(seconds)


class FakeClock(Clock):
    """Stands still until `advance`; sleepers whose time has come then go on.

    For code that takes its time from core's clock. A store with a clock of its own, such as a
    database server's, cannot be moved by it.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed_s = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def now(self) -> datetime:
        """The time that the test has set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds by which the clock was advanced."""
        return self._elapsed_s

    @property
    def sleepers(self) -> int:
        """How many wait in `sleep` now."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock by `seconds`; 0 yields once."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        entry = (self._elapsed_s + seconds, next(self._order), woken)
        heapq.heappush(self._sleepers, entry)
        try:
            await woken.wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the time and let those go on whose time has come, in the order of their times.

        A sleeper that sleeps again at once is woken again while its new time lies within the step,
        at its own time: the clock shows each of them the moment that it waited for.
        """
        assert seconds >= 0
        end = self._elapsed_s + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self._move(due - self._elapsed_s)
            woken.set()
            await self._settle()
        self._move(end - self._elapsed_s)
        await self._settle()

    def _move(self, seconds: float) -> None:
        self._elapsed_s += seconds
        self._now += timedelta(seconds=seconds)

    async def _settle(self) -> None:
        """Give whoever was woken a few turns, so that it can sleep again or finish."""
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
