"""The tally repository."""

from __future__ import annotations

from collections.abc import Mapping

from anyio.lowlevel import checkpoint

from juststorage.ports import TallyRepository

__all__ = ["MemoryTallyRepository"]

_KEPT_S = 86_400


class MemoryTallyRepository(TallyRepository):
    """See `TallyRepository`."""

    def __init__(self) -> None:
        self._windows: dict[int, dict[str, int]] = {}

    async def add(self, window: int, amounts: Mapping[str, int]) -> dict[str, int]:
        await checkpoint()
        for old in [each for each in self._windows if each < window - _KEPT_S]:
            del self._windows[old]
        counters = self._windows.setdefault(window, {})
        for name, amount in amounts.items():
            counters[name] = counters.get(name, 0) + amount
        return {name: counters[name] for name in amounts}
