"""What `benchmarks/compare` says of two reports."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from benchmarks.load.two_reports import compared


def a_report(
    *figures: float,
    note: str = "",
    name: str = "GET",
    limits: tuple[float, ...] = (),
    **machine: str,
) -> dict[str, Any]:
    """A report with one figure."""
    row = {
        "name": name,
        "figures": list(figures),
        "median": statistics.median(figures),
        "unit": "/s",
        "note": note,
        "limits": list(limits),
    }
    return {"machine": {"cores": "2", **machine}, "sections": {"1 worker": [row]}}


def the_line(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The cells of the one figure."""
    [line] = [line for line in compared(a, b) if line.startswith("| 1 worker: GET ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_medians_and_spread() -> None:
    """The spread is from the worst of B beside the best of A to the other way round."""
    cells = the_line(a_report(100, 110, 125), a_report(200, 220, 250))
    assert cells == ["1 worker: GET", "110 /s", "220", "2.00", "1.60 .. 2.50", "differs"]


@pytest.mark.parametrize(
    ("mine", "its", "verdict"),
    [
        ((100, 110, 120), (119, 130, 140), "within the spread"),
        ((119, 130, 140), (100, 110, 120), "within the spread"),
        ((100, 110, 120), (100, 110, 120), "within the spread"),
        ((100, 110, 120), (121, 130, 140), "differs"),
        ((121, 130, 140), (100, 110, 120), "differs"),
        ((100, 110), (121, 130, 140), "too few runs"),
        ((100,), (900,), "too few runs"),
    ],
)
def test_what_differs(mine: tuple[float, ...], its: tuple[float, ...], verdict: str) -> None:
    """Only where no run of one is within those of the other, and there are enough."""
    assert the_line(a_report(*mine), a_report(*its))[-1] == verdict


def test_shares_of_limits_are_compared_too() -> None:
    """Turn by turn: a machine that is half as fast is so for both."""
    fast = a_report(100, 110, 120, limits=(400, 440, 480))
    slow = a_report(50, 60, 70, limits=(200, 240, 280))
    assert the_line(fast, slow)[-1] == "differs"
    [line] = [line for line in compared(fast, slow) if "of its limit" in line]
    assert line == (
        "| 1 worker: GET, of its limit | 0.25  | 0.25 | 1.00 | 1.00 .. 1.00 | within the spread |"
    )


def test_a_run_with_errors_is_compared_with_nothing() -> None:
    """On either side."""
    right, void = a_report(1, 2, 3), a_report(1, 2, 3, note="VOID: 1 errors")
    assert the_line(right, void)[1] == the_line(void, right)[1] == "void"


def test_another_machine_is_told() -> None:
    """Rates of two machines say nothing."""
    lines = list(compared(a_report(1, 2, 3, python="3.11.2"), a_report(1, 2, 3, python="3.13.1")))
    assert lines[0].startswith("Not the same python: 3.11.2 and 3.13.1.")


def test_what_only_one_has_is_left_out() -> None:
    """Nothing stands beside it."""
    lines = list(compared(a_report(1, 2, 3, name="GET"), a_report(1, 2, 3, name="HEAD")))
    assert len(lines) == 2
