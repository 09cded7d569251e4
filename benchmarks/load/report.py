"""A table of figures, their limits and the ratio of the two."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Row", "table"]


class Row(NamedTuple):
    """A figure; `limit` is what the machine can do of the same kind, 0 where there is none."""

    name: str
    figures: list[float]
    unit: str
    limit: float = 0.0
    limit_name: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        """The middle one of the runs."""
        return sorted(self.figures)[len(self.figures) // 2]


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| figure | median | spread | limit in this run | ratio | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread = f"{_number(min(row.figures))} .. {_number(max(row.figures))}"
        limit = f"{_number(row.limit)} {row.limit_name}" if row.limit else ""
        ratio = f"{row.median / row.limit:.2f}" if row.limit else ""
        lines.append(
            f"| {row.name} | {_number(row.median)} {row.unit} | {spread} | {limit} | {ratio} "
            f"| {row.note} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
