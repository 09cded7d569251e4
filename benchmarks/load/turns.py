"""What is compared is measured in turns: a machine that drifts drifts for all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["in_order"]


def in_order(turn: Sequence[Callable[[], Any]], number: int) -> list[Any]:
    """Measure all, every other time the last one first: what one leaves, the next one pays for.

    Args:
        turn: What measures each.
        number: Which turn it is, from 0 on.

    Returns:
        Their results, in the order of `turn`.
    """
    order = turn if number % 2 else turn[::-1]
    results = [measure() for measure in order]
    return results if number % 2 else results[::-1]
