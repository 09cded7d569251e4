"""TallyRepository: counters of short windows, shared by all processes of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

__all__ = ["TallyRepository"]


class TallyRepository(ABC):
    """Counters for rate limits. See `MetadataStore` for what holds for every method."""

    @abstractmethod
    async def add(self, window: int, amounts: Mapping[str, int]) -> dict[str, int]:
        """Add to the counters of a window, and read them, in one transaction.

        A counter that is not there is 0. Counters of windows that began over a day before this one
        may be forgotten, here and now.

        Args:
            window: When the window begins, in seconds since 1970.
            amounts: What to add, 0 included; names are texts of the caller's.

        Returns:
            The sum of each of the named counters, this addition included.
        """
