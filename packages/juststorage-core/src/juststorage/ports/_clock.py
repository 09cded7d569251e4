"""Clock: where time comes from, so that tests need not wait for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

__all__ = ["Clock"]


class Clock(ABC):
    """Wall time for records, monotonic time for intervals, and a way to wait.

    Stores with a clock of their own (a database server) use that one for everything they record;
    this clock is for stores without, and for timing inside one process.
    """

    @abstractmethod
    def now(self) -> datetime:
        """The time of day: aware, in UTC, with microseconds."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellable at any moment."""
