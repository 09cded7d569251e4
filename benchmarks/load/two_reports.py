"""What two reports of `benchmarks/run` say of each other."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.load.report import number

__all__ = ["compared"]

_FACTS: Final = ("processor", "cores", "python", "PostgreSQL", "data on")
_RUNS_MIN: Final = 3


def compared(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a table: medians and spreads of each figure that both have, and of its share.

    Figures whose spreads meet are not told apart. Where they do not, chance alone would do as much
    once in ten figures of three runs on each side: so few orders of six runs there are. The runs of
    two reports are hours apart, and no pairs; to tell two checkouts apart, run them in turns.

    Args:
        a: A report, as `benchmarks/run --json` writes it.
        b: The other one.
    """
    for fact in _FACTS:
        here, there = (report["machine"].get(fact, "unknown") for report in (a, b))
        if here != there:
            yield f"Not the same {fact}: {here} and {there}. Compare the shares of limits only."
            yield ""
    yield "| figure | A | B | B / A, medians | spread | |"
    yield "|---|---|---|---|---|---|"
    for section, rows in a["sections"].items():
        others = {row["name"]: row for row in b["sections"].get(section, [])}
        for row in rows:
            other = others.get(row["name"])
            if other is not None and row["median"]:
                yield f"| {section}: {row['name']} | {_told(row, other)} |"
                if row.get("limits") and other.get("limits"):
                    shares = _told(_shares(row), _shares(other))
                    yield f"| {section}: {row['name']}, of its limit | {shares} |"


def _told(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if any("VOID" in one["note"] for one in (row, other)):
        return "void | | | |"
    mine, its = row["figures"], other["figures"]
    least = f"{min(its) / max(mine):.2f}" if max(mine) else ""
    most = f"{max(its) / min(mine):.2f}" if min(mine) else ""
    return (
        f"{number(row['median'])} {row['unit']} | {number(other['median'])}"
        f" | {other['median'] / row['median']:.2f} | {least} .. {most} | {_verdict(mine, its)}"
    )


def _shares(row: Mapping[str, Any]) -> dict[str, Any]:
    """Each figure as a share of the limit that was taken in the same turn."""
    figures = [one / limit for one, limit in zip(row["figures"], row["limits"], strict=True)]
    return {**row, "figures": figures, "median": statistics.median(figures), "unit": ""}


def _verdict(mine: Sequence[float], its: Sequence[float]) -> str:
    if min(len(mine), len(its)) < _RUNS_MIN:
        return "too few runs"
    meet = min(mine) <= max(its) and min(its) <= max(mine)
    return "within the spread" if meet else "differs"
