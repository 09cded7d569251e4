"""Figures, their limits and the ratio of the two, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["HEADING", "Report", "Row", "Series", "line", "number", "table"]

HEADING = "| figure | median | spread | limit in this run | ratio | |\n|---|---|---|---|---|---|"
"""What stands above the lines of a table."""


class Row(NamedTuple):
    """A figure; `limit` is what the machine can do of the same kind, 0 where there is none."""

    name: str
    figures: list[float]
    unit: str
    limit: float = 0.0
    limit_name: str = ""
    note: str = ""
    limits: list[float] = []  # noqa: RUF012 - nobody changes it
    """Those of each turn, in the order of the figures, where they were taken in turns."""
    details: dict[str, float] = {}  # noqa: RUF012 - nobody changes it
    """What the note says of the middle run, for programs: percentiles, processor time."""

    @property
    def ratio(self) -> float:
        """Of the figure to the limit; of all turns the middle one, where there were turns."""
        if self.limits:
            return statistics.median(
                figure / limit for figure, limit in zip(self.figures, self.limits, strict=True)
            )
        return self.median / self.limit

    @property
    def median(self) -> float:
        """The middle one of the runs."""
        return sorted(self.figures)[len(self.figures) // 2]


class Series(NamedTuple):
    """How one figure grows with something."""

    name: str
    unit: str
    along: str
    """What it grows with, and its unit."""
    points: list[tuple[float, float]]


class Report:
    """All figures of a run, and what they were taken on.

    Args:
        machine: Facts about it, by name.
    """

    def __init__(self, machine: dict[str, str]) -> None:
        self.machine = machine
        self._sections: dict[str, list[Row]] = {}
        self.series: list[Series] = []

    @classmethod
    def begin(cls) -> Self:
        """An empty report of this machine and this checkout."""
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        revision = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
        return cls(
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "revision": revision.stdout.strip(),
                "processor": cpu[1] if cpu else platform.machine(),
                "cores": str(os.cpu_count()),
                "kernel": platform.release(),
                # Two builds of one version may differ by a quarter in speed.
                "python": f"{platform.python_version()} ({', '.join(platform.python_build())})",
            }
        )

    def note(self, name: str, fact: str) -> None:
        """Add a fact about what it was taken on."""
        self.machine[name] = fact

    def add(self, section: str, row: Row) -> None:
        """Add a row to a section."""
        self._sections.setdefault(section, []).append(row)

    @property
    def is_void(self) -> bool:
        """Whether a request failed in what was measured."""
        return any("VOID" in row.note for rows in self._sections.values() for row in rows)

    def growth(self) -> str:
        """The series as Markdown: a line each, first point to last."""
        lines = ["## Growth\n", "| figure | along | points |", "|---|---|---|"]
        for series in self.series:
            points = ", ".join(f"{number(x)}: {number(y)}" for x, y in series.points)
            lines.append(f"| {series.name}, {series.unit} | {series.along} | {points} |")
        return "\n".join(lines) + "\n"

    def write(self, path: Path | None) -> None:
        """Write all that is known so far, if anywhere."""
        if path is not None:
            path.write_text(self.json() + "\n")

    def json(self) -> str:
        """Everything."""
        document: dict[str, Any] = {
            "machine": self.machine,
            "sections": {
                name: [{**row._asdict(), "median": row.median} for row in rows]
                for name, rows in self._sections.items()
            },
            "series": [series._asdict() for series in self.series],
        }
        return json.dumps(document, indent=1)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    return "\n".join([HEADING, *map(line, rows)])


def line(row: Row) -> str:
    """One row as a line of Markdown."""
    spread = f"{number(min(row.figures))} .. {number(max(row.figures))}"
    limit = f"{number(row.limit)} {row.limit_name}" if row.limit else ""
    ratio = f"{row.ratio:.3g}" if row.limit else ""
    return (
        f"| {row.name} | {number(row.median)} {row.unit} | {spread} | {limit} | {ratio} "
        f"| {row.note} |"
    )


def number(value: float) -> str:
    """Three digits of it, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
