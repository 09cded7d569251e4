"""Which of two ways to sync a group has been the faster one lately.

One sync for a whole volume waits for what anybody has written to it. On a quiet disk it is several
times as fast as a sync of each file; beside processes that write without pause it can be half as
fast. No setting can know which, the last seconds do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

PROBE_S: Final = 1.0
"""How often at most the way that is slower is tried again."""

PROBE_SHARE: Final = 50
"""A try may cost one part in so many of the time until the next one."""

WEIGHT: Final = 0.3
"""Of the newest figure, in the running mean."""


class _SizeClass:
    """Groups of about one size: what an item cost either way, and when to look again."""

    __slots__ = ("cost_s", "probe_at_s")

    def __init__(self) -> None:
        self.cost_s: dict[bool, float] = {}
        self.probe_at_s = 0.0


class Pace:
    """Chooses for each group, and learns from how long it took. Used in the event loop only.

    Groups are compared with those of about their size, because what one sync costs is shared by
    many or by few.

    Args:
        monotonic: Seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._classes: dict[int, _SizeClass] = {}

    def whole(self, size: int) -> bool:
        """Whether a group of that size is to be synced as one. The first one is."""
        of_size = self._classes.setdefault(size.bit_length(), _SizeClass())
        cost_s = of_size.cost_s
        if True not in cost_s:
            return True
        faster = False not in cost_s or cost_s[True] <= cost_s[False]
        now_s = self._monotonic()
        if now_s < of_size.probe_at_s:
            return faster
        of_size.probe_at_s = now_s + PROBE_S
        return not faster

    def learn(self, size: int, *, whole: bool, took_s: float) -> None:
        """Take into account how long a group took, one way or the other."""
        of_size = self._classes.setdefault(size.bit_length(), _SizeClass())
        cost_s = of_size.cost_s
        new_s = took_s / size
        first = whole not in cost_s
        cost_s[whole] = new_s if first else cost_s[whole] + WEIGHT * (new_s - cost_s[whole])
        if cost_s[whole] > cost_s.get(not whole, cost_s[whole]):
            probe_at_s = self._monotonic() + PROBE_SHARE * took_s
            of_size.probe_at_s = max(of_size.probe_at_s, probe_at_s)
