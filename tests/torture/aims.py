"""Points of acts at which something is to happen, and whether it did.

Where it never does, nothing is ever found broken: a pass that missed what it aimed at is no pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from tests.torture.acts import Deed
from tests.torture.auditor import settle
from tests.torture.experiment import Rig, Run
from tests.torture.journal import Broken
from tests.torture.points import NEVER, Act, Point

__all__ = ["Aim", "Hits", "aims_at"]

MISSED_MAX: Final = 0.25
"""Of the steps of an act. It may pass fewer points than the first time, for instance where a
directory is made or an earlier run has left something: 3 of 19 in an upload, 15 of 106 in an
import, in passes in which nothing was wrong."""

_ALWAYS: Final = 3
"""So many any act may miss, however few it has, but for all of them."""

_ALL_MISSED_MAX: Final = 5
"""Steps of a run that miss one after the other, before it has hit anything."""

TRIES: Final = 3
"""Of a complete pass at each point: what an act does may depend on what happens to be there, or on
how its threads take turns."""


class Aimed(Protocol):
    """What is to happen to an act somewhere; its text is its name."""

    @property
    def deed(self) -> type[Deed]:
        """The act."""


class Aim(NamedTuple):
    """A point of an act."""

    deed: type[Deed]
    at: Point
    kind: str

    def __str__(self) -> str:
        return f"{self.deed.__name__} at {self.at} on {self.kind}"


def aims_at(made: Rig, run: Run, hits: Hits, deed: type[Deed], act: Act | None = None) -> list[Aim]:
    """The points of an act that nobody disturbs.

    Args:
        made: Where.
        run: Counts them.
        hits: Expects one at each.
        deed: The act.
        act: What is to happen at them; None for what kills who does it.

    Raises:
        Broken: It fails, or passes none.
    """
    doing = deed(made, run.chance)
    doing.prepare()
    made.points.arm(doing.kills if act is None else act, NEVER, side=doing.side)
    if not doing.act():
        raise Broken(f"{deed.__name__} fails undisturbed: {made.logged()}")
    points = Point.all_of(made.points.disarm())
    if not points:
        raise Broken(f"{deed.__name__} passes no point")
    settle(made.store)
    run.counts[f"all points on {made.store.kind}"] += len(points)
    hits.expect(deed.__name__, len(points))
    return [Aim(deed, point, made.store.kind) for point in points]


class Hits:
    """Which steps on one store did what they are for, and which missed it.

    Args:
        run: Counts them.
        kind: The store.
        hit: How those are counted that did it.
    """

    def __init__(self, run: Run, kind: str, hit: str) -> None:
        self._run = run
        self._kind = kind
        self._hit = hit
        self._steps: Counter[str] = Counter()

    def expect(self, act: str, steps: int) -> None:
        """An act has so many steps."""
        self._steps[act] += steps

    def aim(self, at: Aimed, once: Callable[[], bool]) -> None:
        """Try one of them, in a complete pass until it is a hit, and name it if it never is.

        Args:
            at: What is tried.
            once: Tries, and gives whether it was a hit.
        """
        tries = TRIES if self._run.is_complete else 1
        is_hit = any(once() for _ in range(tries))
        self.note(at.deed.__name__, is_hit=is_hit)
        if not is_hit and tries > 1:
            self._run.counts[f"not reached in {tries} tries: {at}"] += 1

    def note(self, act: str, *, is_hit: bool) -> None:
        """One of them is over."""
        if is_hit:
            self._run.counts[f"{self._hit} on {self._kind}"] += 1
            return
        self._run.counts[f"not reached on {self._kind}"] += 1
        self._run.counts[self._missed_in(act)] += 1

    def check(self) -> None:
        """When all are over.

        Raises:
            Broken: None was a hit, or a whole pass missed too many of an act.
        """
        counts, is_whole = self._run.counts, self._run.is_whole
        missed = counts[f"not reached on {self._kind}"]
        if not counts[f"{self._hit} on {self._kind}"] and (
            missed > _ALL_MISSED_MAX or (is_whole and self._steps.total())
        ):
            raise Broken(f"0 {self._hit} on {self._kind}, and {missed} not reached")
        for act, steps in self._steps.items() if is_whole else ():
            missed = counts[self._missed_in(act)]
            if missed and (missed >= steps or missed > max(_ALWAYS, steps * MISSED_MAX)):
                raise Broken(f"{missed} of {steps} steps {self._missed_in(act)}")

    def _missed_in(self, act: str) -> str:
        return f"not reached in {act} on {self._kind}"
