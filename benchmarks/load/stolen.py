"""Processor time that a host took from its virtual machine: nothing here can make up for it.

A host that caps a machine's processors stops all of them when the cap is reached, until the next
tenth of a second: for some 4 to 14 ms. One part in a hundred is enough to be a p99. The disk of the
machine may count towards the cap, so that what writes is stopped where its processors are idle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Stolen", "watch_stolen"]

_STAT = Path("/proc/stat")
_STEAL = 7
"""The eighth figure of all processors together; `man 5 proc_stat`."""


class Stolen:
    """How much was stolen, once the watching is over."""

    share = 0.0
    """Of the time of all processors, 0 to 1."""

    def __str__(self) -> str:
        return f"{self.share:.1%} of the processors stolen"


@contextmanager
def watch_stolen() -> Iterator[Stolen]:
    """Count while the block runs."""
    stolen = Stolen()
    before = _read()
    yield stolen
    passed = [now - then for now, then in zip(_read(), before, strict=True)]
    stolen.share = passed[_STEAL] / max(1, sum(passed))


def _read() -> list[int]:
    # What guests of this machine took is counted within the first two.
    with _STAT.open() as lines:
        return [int(figure) for figure in next(lines).split()[1:9]]
