"""A walk sees all that two processes can come to, in fewer orders than there are."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.torture.touches import AREAS, STEPS, Watch, commute, touch_of
from tests.torture.walk import Walk

READ, WRITE = "before blobs.find", "before blobs.adopt"
PLACE, SCAN = "before place", "before scan"
LOCK, UNLOCK = "before blobs.remove", "after remove"

STEPS_OF_ONE = st.lists(st.sampled_from(sorted(STEPS)), max_size=4)
FEW = st.lists(st.sampled_from([READ, WRITE, PLACE, SCAN, LOCK, UNLOCK]), max_size=4)

Outcome = tuple[tuple[str, ...], ...]


class _World:
    """Areas in which steps leave their mark, what each of two processes saw there, and one lock.

    What is of an upload's own, each process has in a place of its own; whoever reads or writes all
    uploads goes through both places.
    """

    def __init__(self, both: Sequence[Sequence[str]]) -> None:
        self._left = [list(steps) for steps in both]
        self._marks: list[dict[str, list[str]]] = [{a: [] for a in AREAS} for _ in both]
        self._seen: list[list[str]] = [[], []]
        self._holder: int | None = None

    def next(self, process: int) -> str | None:
        """Its next step; None where it is done."""
        return self._left[process][0] if self._left[process] else None

    def is_blocked(self, process: int) -> bool:
        """Whether its next step waits for the other one's lock."""
        step = self.next(process)
        return (
            step is not None
            and "blobs" in touch_of(step).writes
            and self._holder
            not in {
                None,
                process,
            }
        )

    def take(self, process: int) -> None:
        """One step."""
        step = self._left[process].pop(0)
        touch = touch_of(step)
        for area in sorted(touch.reads | touch.writes):
            self._seen[process].append(f"{step} {[each[area] for each in self._marks]}")
        for area in sorted(touch.own):
            self._seen[process].append(f"{step} {self._marks[process][area]}")
            self._marks[process][area].append(f"{process}{step}")
        for area in touch.writes:
            for marks in self._marks:
                marks[area].append(f"{process}{step}")
        if step == LOCK:
            self._holder = process
        if step == UNLOCK or (self._holder == process and not self._left[process]):
            self._holder = None

    def outcome(self) -> Outcome:
        """All that anybody can tell afterwards."""
        marks = [tuple(each[area]) for each in self._marks for area in AREAS]
        return (*marks, *map(tuple, self._seen))


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


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.tuples(STEPS_OF_ONE, STEPS_OF_ONE), st.tuples(FEW, FEW)))
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
        (SCAN, READ, True),
        (SCAN, PLACE, False),
        ("before stage", "before stage", True),
        ("before stage", "before staged", False),
        ("before objects.begin", "before objects.reap", False),
        ("something new", READ, False),
        ("something new", "something new", False),
    ],
)
def test_what_commutes(one: str, other: str, expected: bool) -> None:
    """What is in doubt does not."""
    assert commute(one, other) is expected
    assert commute(other, one) is expected


def test_an_order_is_repeated_by_its_name() -> None:
    """Of all orders of a pair, the one in which something broke; and no other is run."""
    both = [[WRITE, PLACE], [WRITE, PLACE, READ]]
    every = walk(reduces=True)
    outcomes = {}
    while not every.is_over:
        name = every.next_order
        outcomes[name] = run_one(both, every)
    assert len(outcomes) == every.orders > 3
    for name, outcome in outcomes.items():
        alone = walk(reduces=True)
        alone.leave_only(name)
        assert alone.next_order == name
        assert run_one(both, alone) == outcome


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1 FROM blobs b JOIN objects o ON true", None),
        ("SELECT 1 FROM blobs FOR UPDATE", "writes blobs"),
        ("SELECT 1 FROM objects o LEFT JOIN blobs b ON true FOR UPDATE OF o SKIP LOCKED", None),
        ("UPDATE blobs SET x = 1", "writes blobs"),
        ("INSERT INTO blobs (x) SELECT 1 ON CONFLICT (x) DO UPDATE SET x = 2", "writes blobs"),
        (
            "WITH a AS (DELETE FROM  objects RETURNING 1) SELECT 1",
            "writes leases or objects or references",
        ),
        ("COMMIT", None),
    ],
)
def test_a_statement_beyond_what_is_said_of_its_step_is_told(text: str, told: str | None) -> None:
    """An order is left out because of what is said: it had better be so."""
    watch = Watch(lambda: "before objects.find")
    watch.statement(text)
    assert [told in each for each in watch.breaches] == ([] if told is None else [True])


@pytest.mark.parametrize(
    ("path", "writes", "told"),
    [
        (".staging/a.b", False, None),
        (".staging/a.b", True, "writes staging"),
        ("ab/cd/ef", False, "reads placed"),
        (".trash/20261130T0930", False, "reads trash"),
        (".ballast", True, None),
    ],
)
def test_a_file_beyond_what_is_said_of_its_step_is_told(
    path: str, writes: bool, told: str | None
) -> None:
    """The same; and what is at no step is nobody's business."""
    for step, expected in (("before staged", told), ("", None)):
        watch = Watch(lambda step=step: step)
        watch.file(path, "open", writes=writes)
        assert [str(expected) in each for each in watch.breaches] == [True] * (expected is not None)
