"""The orders of the steps of two processes: each order once, and none that only repeats another.

Two steps that follow one another and do not touch the same thing come to the same whichever is
first. An order that differs from another in nothing else is not run: sleep sets, as P. Godefroid
describes them in "Partial-Order Methods for the Verification of Concurrent Systems" (1996), 5.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tests.torture.touches import commute

__all__ = ["Walk"]

_NONE: Final = "without a change"


class Walk:
    """The orders of one pair: those with the fewest changes between the two first.

    An order is the set of decisions at which not the one goes on that went last. Most mistakes show
    with one change or two; it is over when there is no order left.

    Args:
        chance: Which of those with as many changes is next.
        reduces: Whether steps may be taken to commute: not those of a process that dies or loses
            its locks, which touches what none of its calls does.
    """

    def __init__(self, chance: random.Random, *, reduces: bool = True) -> None:
        self._chance = chance
        self._reduces = reduces
        self._level: list[tuple[int, ...]] = [()]
        self._next: list[tuple[int, ...]] = []
        self._begin(())
        self.orders = 0
        self.changes = 0
        """Every order with fewer changes than this was run."""

    @property
    def is_over(self) -> bool:
        """Whether every order was run."""
        return not self._level

    @property
    def waiting(self) -> int:
        """Orders that are known and were not run; each may lead to more."""
        return len(self._level) + len(self._next)

    @property
    def next_order(self) -> str:
        """The name of the next one: the decisions at which it changes."""
        return " ".join(map(str, self._level[-1])) or _NONE

    def leave_only(self, order: str) -> None:
        """Leave no other one to be next than the one of this name, which another walk had."""
        named = "" if order == _NONE else order
        self._level, self._next = [tuple(map(int, named.split()))], []

    def begin(self) -> None:
        """Begin the next order."""
        self._begin(self._level.pop())

    def _begin(self, changes: tuple[int, ...]) -> None:
        self._changes = changes
        self._at = self._last = 0
        self._sleeps = False
        self._repeats = False

    def choose(self, steps: Sequence[str]) -> int:
        """Who takes its next step, where both could.

        Args:
            steps: What the next step of each is.
        """
        # Who sleeps took its step at once in another order, and nothing since then has come of it
        # that depends on which was first.
        if not self._sleeps and not self._repeats:
            if self._at in self._changes:
                self._last = 1 - self._last
                self._sleeps = self._reduces
            self._at += 1
        if self._sleeps and not commute(*steps):
            self._sleeps = False
        return self._last

    def alone(self, process: int) -> None:
        """Only this one can go on: the other one is done, or waits for a lock."""
        if process != self._last:
            # What slept has to be woken: all that follows was seen where it went first.
            self._repeats = self._repeats or self._sleeps
            self._sleeps = False
            self._last = process

    def end(self) -> None:
        """The order is through; each later decision of it could be another."""
        self.orders += 1
        first = self._changes[-1] + 1 if self._changes else 0
        self._next += [(*self._changes, at) for at in range(first, self._at)]
        if not self._level:
            self._level, self._next = self._next, []
            self._chance.shuffle(self._level)
            self.changes += 1
