"""A walk sees all that two processes can come to, in fewer orders than there are."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.torture.walk import Walk, commute

READ, WRITE = "before objects.find", "before objects.reserve"
PLACE, SCAN = "before place", "before scan"
LOCK, UNLOCK = "before blobs.claim", "before blobs.remove"

STEPS = st.lists(st.sampled_from([READ, WRITE, PLACE, SCAN, LOCK, UNLOCK]), max_size=5)

Outcome = tuple[tuple[str, ...], ...]


class _World:
    """Rows with one lock, a volume, and what each of two processes saw of them."""

    def __init__(self, both: Sequence[Sequence[str]]) -> None:
        self._left = [list(steps) for steps in both]
        self._rows: list[str] = []
        self._files: list[str] = []
        self._seen: list[list[str]] = [[], []]
        self._holder: int | None = None

    def next(self, process: int) -> str | None:
        """Its next step; None where it is done."""
        return self._left[process][0] if self._left[process] else None

    def is_blocked(self, process: int) -> bool:
        """Whether its next step waits for the other one's lock."""
        waits = self.next(process) in {WRITE, LOCK, UNLOCK}
        return waits and self._holder == 1 - process

    def take(self, process: int) -> None:
        """One step."""
        step = self._left[process].pop(0)
        if step == READ:
            self._seen[process].append(" ".join(self._rows))
        elif step == SCAN:
            self._seen[process].append(" ".join([*self._rows, *self._files]))
        else:
            made = self._files if step == PLACE else self._rows
            made.append(f"{process}{step}")
        if step == LOCK:
            self._holder = process
        if step == UNLOCK or (self._holder == process and not self._left[process]):
            self._holder = None

    def outcome(self) -> Outcome:
        """All that anybody can tell afterwards."""
        return (*map(tuple, (self._rows, self._files)), *map(tuple, self._seen))


def run_one(both: Sequence[Sequence[str]], walk: Walk) -> Outcome:
    """What the next order of a walk comes to."""
    world = _World(both)
    walk.begin()
    while True:
        can = [p for p in (0, 1) if world.next(p) is not None and not world.is_blocked(p)]
        if len(can) == 2:
            world.take(walk.choose([str(world.next(p)) for p in (0, 1)]))
        elif can:
            walk.alone(can[0])
            world.take(can[0])
        else:
            break
    walk.end()
    return world.outcome()


def all_outcomes(both: Sequence[Sequence[str]], walk: Walk) -> tuple[set[Outcome], int]:
    """What the orders of a walk come to, and how many they are."""
    found: set[Outcome] = set()
    while not walk.is_over:
        found.add(run_one(both, walk))
    return found, walk.orders


def walk(*, reduces: bool) -> Walk:
    """One of its own."""
    return Walk(random.Random(7), reduces=reduces)


@given(st.tuples(STEPS, STEPS))
def test_nothing_is_missed(both: tuple[list[str], list[str]]) -> None:
    """Every outcome that any order has is that of an order which is run, and never in more."""
    every, orders = all_outcomes(both, walk(reduces=False))
    reduced, fewer = all_outcomes(both, walk(reduces=True))
    assert reduced == every
    assert fewer <= orders


@pytest.mark.parametrize(("one", "other"), [(3, 3), (2, 5), (0, 4)])
def test_without_reduction_every_order_is_run_once(one: int, other: int) -> None:
    """As many as there are ways to choose whose step is whose."""
    _, orders = all_outcomes([[WRITE] * one, [WRITE] * other], walk(reduces=False))
    assert orders == math.comb(one + other, one)


def test_rows_and_files_are_apart() -> None:
    """Two that share nothing are run in a handful of orders, of the seventy that there are."""
    _, orders = all_outcomes([[WRITE] * 4, [PLACE] * 4], walk(reduces=True))
    assert orders <= 5


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (WRITE, PLACE, True),
        (PLACE, WRITE, True),
        (READ, READ, True),
        (READ, WRITE, False),
        (WRITE, WRITE, False),
        (PLACE, PLACE, False),
        (SCAN, READ, False),
        (SCAN, PLACE, False),
        ("after remove", WRITE, False),
    ],
)
def test_what_commutes(one: str, other: str, expected: bool) -> None:
    """What is in doubt does not."""
    assert commute(one, other) is expected


def test_it_goes_on_where_it_was() -> None:
    """A walk that is broken off and taken up again runs the orders that it lacked, and no other."""
    both = [[WRITE, PLACE], [WRITE, PLACE, READ]]
    every, orders = all_outcomes(both, walk(reduces=True))
    first, second = walk(reduces=True), walk(reduces=True)
    before = {run_one(both, first) for _ in range(3)}
    second.go_on(first.state())
    found, total = all_outcomes(both, second)
    assert (before | found, total) == (every, orders)
