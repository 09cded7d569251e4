"""The clock of a real process."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import anyio

from juststorage.ports import Clock

__all__ = ["SystemClock"]


class SystemClock(Clock):
    """The machine's time."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment before the process."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await anyio.sleep(seconds)
