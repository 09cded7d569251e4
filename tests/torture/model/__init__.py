"""A model: random walks over the HTTP API beside a dictionary that does the same.

Hypothesis chooses the steps, and makes a failing walk as short as it can. Besides what clients do
there are collections with and without grace, time that goes by, and SIGKILLs between and within
steps. What is expected of an answer is computed before it comes; only of what died on its way two
outcomes are right, and looking settles which.

- `state.py`: the dictionary, and what it says is right.
- `walker.py`: how a walk talks to the service, begins and ends.
- `writing.py`, `reading.py`, `turning.py`, `happening.py`: its rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, takewhile

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.torture.auditor import auditing
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.model.happening import Happening
from tests.torture.model.reading import Reading
from tests.torture.model.state import ANSWERS_KEPT_S, FIRST_LEASE_S, GRACE_S, RESUMABLE_FOR_S
from tests.torture.model.writing import Writing
from tests.torture.service import STORES

__all__ = ["run"]

STEPS = 50
WALKS = 2000
"""Of a complete pass, on all stores together."""

_WALKS_OF_A_ROUND, _WALKS_OF_A_SHORT_ROUND = 100, 20
"""The first of each round does the same over and over, and a tenth does little: a round of a few
walks would be as good as none."""

_LIMITS: dict[str, dict[str, object]] = {
    "uploads": {
        "lease_s": FIRST_LEASE_S,
        "resumable_for_s": RESUMABLE_FOR_S,
        "idempotency_ttl_s": ANSWERS_KEPT_S,
    },
    "gc": {"grace_s": GRACE_S},
}


class _TimeIsUp(KeyboardInterrupt):
    """Ends a round: of what may be raised, Hypothesis lets only this pass."""


class _Walk(Writing, Reading, Happening):
    """All rules."""

    def __init__(self) -> None:
        super().__init__()
        if self.is_over():
            raise _TimeIsUp

    def is_over(self) -> bool:
        """Whether there is no time for another walk."""
        raise NotImplementedError


def _rounds(run: Run, kind: str, *, until_left_s: float) -> Iterator[int]:
    """While there is time, or as many as a complete pass has."""
    if run.is_complete:
        rounds = range(WALKS // len(STORES) // _WALKS_OF_A_ROUND)
        yield from run.each(rounds, lambda number: f"round {number} of walks on {kind}")
    else:
        yield from takewhile(lambda number: not number or run.left_s > until_left_s, count())


def _machine(
    run: Run, made: Rig, settle: Callable[[], None], until_left_s: float
) -> type[RuleBasedStateMachine]:
    """The machine on a rig."""

    class Walk(_Walk):
        rig, counts, numbers = made, run.counts, count(1)

        def settle(self) -> None:
            settle()

        def is_over(self) -> bool:
            run.tell(f"walks on {made.store.kind}")
            # One step at least: to start all this may have taken the time.
            return run.left_s <= until_left_s and run.counts["steps"] > 0

    return Walk


def run(run: Run) -> Counts:
    """Walk on each store for its share of the time."""
    walks = _WALKS_OF_A_ROUND if run.is_complete else _WALKS_OF_A_SHORT_ROUND
    how = settings(
        max_examples=walks,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        with rig(run, kind, **_LIMITS) as made, auditing(made.store) as settle:
            machine = _machine(run, made, settle, until_left_s)
            for number in _rounds(run, kind, until_left_s=until_left_s):
                chosen = random.Random(f"{run.seed} {kind} {number}").randrange(2**32)
                with suppress(_TimeIsUp):
                    run_state_machine_as_test(  # type: ignore[no-untyped-call]
                        hypothesis.seed(chosen)(machine), settings=how
                    )
    return run.counts
