"""Where counts live: one row of numbers for each worker, in memory that all of them see.

A worker writes only its own row, so nobody waits and nothing is lost; whoever is asked adds the
rows up. A row outlives its worker: the one that takes its place goes on counting where it ended, so
that no counter ever falls. The memory is the processes' own, made before they are forked: there are
no files that grow, and nothing to clean up after a crash.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from juststorage.metrics._families import Family

__all__ = ["TEXT_FORMAT", "Sheet", "Table"]

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `Table.text`."""

_NOTHING = math.nan
"""A gauge that nobody has set: it is not shown, and adds nothing."""


class Table:
    """All series of one instance of the service.

    Make it before the workers are forked. Numbers are 64-bit floats, exact for integers up to 2^53;
    a processor writes each in one piece, so a reader never sees half of one.

    Args:
        families: What is measured; their order is that of the text.
        workers: How many write.
    """

    def __init__(self, families: Sequence[Family], workers: int = 1) -> None:
        self._families = tuple(families)
        self.workers = workers
        self._first: dict[str, int] = {}
        self._index: dict[tuple[str, tuple[str, ...]], int] = {}
        self._width = 0
        for family in self._families:
            assert family.name not in self._first, f"{family.name} is there twice"
            self._first[family.name] = self._width
            for values in family.series():
                self._index[family.name, values] = self._width
                self._width += family.width
        # The last row is the instance's own.
        memory = mmap.mmap(-1, max(1, (workers + 1) * self._width * 8))
        self._cells = memoryview(memory).cast("d")
        for row in range(workers + 1):
            self._forget_gauges(row, common=row == workers)

    def __contains__(self, name: str) -> bool:
        """Whether there is a family of this name."""
        return name in self._first

    def worker(self, index: int) -> Sheet:
        """What the worker of this number writes to."""
        assert 0 <= index < self.workers
        return Sheet(self, self._row(index), self._row(self.workers), self._index)

    def bury(self, index: int) -> None:
        """Take back the gauges of a worker that is gone; what it counted stays."""
        self._forget_gauges(index, common=False)

    def value(self, name: str, *labels: str) -> float:
        """A counter, or a gauge of the workers, over all of them."""
        place = self._index[name, labels]
        known = (self._row(row)[place] for row in range(self.workers))
        return sum(number for number in known if not math.isnan(number))

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        rows = [self._row(index).tolist() for index in range(self.workers)]
        common = self._row(self.workers).tolist()
        # All at once, because there are thousands. Gauges may have gaps, and come by themselves.
        sums = [sum(column) for column in zip(*rows, strict=True)]
        lines: list[str] = []
        for family in self._families:
            if family.hidden:
                continue
            if family.kind == "gauge":
                found = list(self._gauges(family, [common] if family.common else rows))
            else:
                found = list(self._counts(family, sums))
            if found:
                lines.append(f"# HELP {family.name} {family.text}")
                lines.append(f"# TYPE {family.name} {family.kind}")
                lines += found
        return ("\n".join(lines) + "\n").encode()

    # -- inside -------------------------------------------------------------------------------

    def _row(self, index: int) -> memoryview[float]:
        return self._cells[index * self._width : (index + 1) * self._width]

    def _forget_gauges(self, row: int, *, common: bool) -> None:
        cells = self._row(row)
        for family in self._families:
            if family.kind == "gauge" and family.common == common:
                first = self._first[family.name]
                for offset in range(sum(1 for _ in family.series())):
                    cells[first + offset] = _NOTHING

    def _gauges(self, family: Family, rows: Sequence[Sequence[float]]) -> Iterator[str]:
        for at, values in enumerate(family.series(), self._first[family.name]):
            known = [row[at] for row in rows if not math.isnan(row[at])]
            if known:
                yield f"{family.name}{_braced(family.shown(values))} {_number(sum(known))}"

    def _counts(self, family: Family, sums: Sequence[float]) -> Iterator[str]:
        at = self._first[family.name]
        for values in family.series():
            numbers = sums[at : at + family.width]
            at += family.width
            if family.sparse and not any(numbers):
                continue
            labels = family.shown(values)
            if family.kind == "histogram":
                yield from _histogram(family, labels, numbers)
            else:
                yield f"{family.name}{_braced(labels)} {_number(numbers[0])}"


class Sheet:
    """What one worker writes to: its own row, and the instance's."""

    def __init__(
        self,
        table: Table,
        cells: memoryview[float],
        common: memoryview[float],
        index: dict[tuple[str, tuple[str, ...]], int],
    ) -> None:
        self.table = table
        self.cells = cells
        """The row itself, for whoever counts with every request and knows his places in it."""
        self._common = common
        self._index = index

    def place(self, name: str, *labels: str) -> int:
        """Where a series begins in `cells`. Of a histogram: its first bucket; its sum is last."""
        return self._index[name, labels]

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Count."""
        self.cells[self._index[name, labels]] += amount

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge of this worker."""
        self.cells[self._index[name, labels]] = value

    def set_common(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge of the whole instance."""
        self._common[self._index[name, labels]] = value

    def forget_common(self, name: str, *labels: str) -> None:
        """Take a gauge of the whole instance back: it is not shown until somebody sets it."""
        self.set_common(name, _NOTHING, *labels)

    def common(self, name: str, *labels: str) -> float:
        """A gauge of the whole instance; NaN where nobody has set it."""
        return self._common[self._index[name, labels]]


def _histogram(family: Family, labels: tuple[str, ...], numbers: Sequence[float]) -> Iterator[str]:
    *buckets, total = numbers
    bounds = [f"{bound:g}" for bound in family.bounds] + ["+Inf"]
    counts = list(accumulate(buckets))
    for bound, count in zip(bounds, counts, strict=True):
        within = f'le="{bound}"'
        yield f"{family.name}_bucket{_braced((*labels, within))} {_number(count)}"
    yield f"{family.name}_sum{_braced(labels)} {_number(total)}"
    yield f"{family.name}_count{_braced(labels)} {_number(counts[-1])}"


def _braced(labels: tuple[str, ...]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
