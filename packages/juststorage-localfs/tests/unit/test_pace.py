"""The choice between one sync for all and one for each."""

from __future__ import annotations

import pytest

from juststorage_localfs._pace import PROBE_S, PROBE_SHARE, Pace

SIZE = 16


class Disk:
    """Groups that take as long as the test says; time passes only in them."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.whole_s = 0.01
        self.each_s = 0.03
        self.pace = Pace(lambda: self.now_s)

    def group(self, size: int = SIZE) -> bool:
        """Sync one group; returns which way."""
        whole = self.pace.whole(size)
        took_s = self.whole_s if whole else self.each_s
        self.now_s += took_s
        self.pace.learn(size, whole=whole, took_s=took_s)
        return whole

    def share(self, seconds: float) -> float:
        """The part of the groups of some seconds that was synced as one."""
        end_s, ways = self.now_s + seconds, []
        while self.now_s < end_s:
            ways.append(self.group())
        return sum(ways) / len(ways)


@pytest.fixture
def disk() -> Disk:
    """A quiet disk, on which one sync for all is faster."""
    return Disk()


def test_the_faster_way_is_taken(disk: Disk) -> None:
    """The other way is tried once in a while, and costs next to nothing."""
    assert disk.group() is True
    assert disk.share(60) > 0.98
    disk.whole_s, disk.each_s = 0.05, 0.02
    disk.share(5)
    assert disk.share(60) < 0.02
    disk.whole_s, disk.each_s = 0.005, 0.02
    disk.share(10)
    assert disk.share(60) > 0.98


def test_a_sync_that_hangs_is_not_tried_again_soon(disk: Disk) -> None:
    """Who waits for minutes of other people's writes is asked again after much longer."""
    disk.share(5)
    disk.whole_s = 30.0
    while disk.group() is False:
        pass
    assert disk.share(10 * PROBE_S) == 0
    assert disk.share(30.0 * PROBE_SHARE - 20 * PROBE_S) == 0


def test_sizes_are_compared_with_their_like(disk: Disk) -> None:
    """What is faster for many may be slower for few."""
    assert disk.group(2) is True
    disk.share(5)
    disk.whole_s, disk.each_s = 0.004, 0.001
    for _ in range(2000):
        disk.group(2)
    # The first answer may be a try of the other way.
    assert [disk.pace.whole(2) for _ in range(3)][1:] == [False, False]
    assert [disk.pace.whole(SIZE) for _ in range(3)][1:] == [True, True]
