"""What is measured: names, labels, and every value that a label may have.

All series are known before the first is counted. That gives each one a fixed place in memory, which
processes share without a word, and it makes a label that grows without end impossible to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

__all__ = ["Family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric, with all of its series.

    Args:
        name: As Prometheus wants it: the unit last, `_total` for counters.
        text: One sentence for people.
        kind: A gauge is summed over the living workers, unless `common` says that any of them
            speaks for all.
        labels: Each label's name and its values.
        bounds: Of a histogram's buckets, ascending; the last one, without end, is not named.
        common: The value is the whole instance's; the last one that was set counts.
        sparse: Show only series that are not 0: for families most of whose series never happen.
        hidden: Not shown: what the processes tell each other.
    """

    name: str
    text: str
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bounds: tuple[float, ...] = ()
    common: bool = False
    sparse: bool = False
    hidden: bool = False

    @property
    def width(self) -> int:
        """Cells of one series: a histogram has one for each bucket, and one for the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    def series(self) -> Iterator[tuple[str, ...]]:
        """The label values of each series, in the order of their cells."""
        return product(*(values for _, values in self.labels))

    def shown(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The labels of a series as the text has them, without braces."""
        names = (name for name, _ in self.labels)
        return tuple(
            f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
        )


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
