"""Crash points: SIGKILL at every point of every act, one after the other.

A point is before each call that changes a file (and in the middle of each write), and before and
after each statement. After each death: the server starts again, the act is tried again at once or
not, everything in the journal is read, leases end, the garbage is collected, the deep auditor finds
nothing, everything is read once more, and the act, done again, succeeds. An import whose server
dies goes on when that is back; one that dies itself is run again: all is there, and nothing twice.
"""

from __future__ import annotations

import random

from tests.torture.acts import ACTS, Deed
from tests.torture.backups import BACKUPS
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.imports import IMPORTS
from tests.torture.journal import Broken
from tests.torture.service import settle

__all__ = ["run"]

_NEVER = 10**9
_DEEDS = (*ACTS, *IMPORTS, *BACKUPS)
"""A command that is to be enumerated as well is a deed of its own, and is added here."""


def run(run: Run) -> Counts:
    """Kill at every point for which there is time, in an order that the seed gives."""
    counts = run.counts
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        with rig(run, kind) as made:
            (_all if run.is_complete else _on)(made, run, counts, until_left_s=until_left_s)
    return counts


def _all(made: Rig, run: Run, counts: Counts, *, until_left_s: float) -> None:
    """Every act at every point."""
    kind = made.store.kind
    for deed in _DEEDS:
        if run.left_s <= until_left_s:
            return
        points = _points_of(deed, made, run.chance)
        counts[f"all points on {kind}"] += len(points)

        def name(number: int, deed: type[Deed] = deed) -> str:
            return f"{deed.__name__} at {number} on {kind}"

        for number in run.each(range(1, len(points) + 1), name, until_left_s=until_left_s):
            _kill(made, run, deed, number, points[number - 1])


def _on(made: Rig, run: Run, counts: Counts, *, until_left_s: float) -> None:
    """Act by act in turns, so that a run that ends early has seen something of many."""
    kind = made.store.kind
    waiting = list(_DEEDS)
    run.chance.shuffle(waiting)
    points: dict[type[Deed], list[str]] = {}
    todo: dict[type[Deed], list[int]] = {}
    while waiting and run.left_s > until_left_s:
        deed = waiting.pop(0)
        if deed not in points:
            points[deed] = _points_of(deed, made, run.chance)
            todo[deed] = list(range(1, len(points[deed]) + 1))
            run.chance.shuffle(todo[deed])
            counts[f"points of {deed.__name__} on {kind}"] = len(points[deed])
            counts[f"all points on {kind}"] += len(points[deed])
        if not todo[deed]:
            counts[f"acts that were killed at every point on {kind}"] += 1
            continue
        waiting.append(deed)
        number = todo[deed].pop()
        _kill(made, run, deed, number, points[deed][number - 1])


def _kill(made: Rig, run: Run, deed: type[Deed], number: int, where: str) -> None:
    """Kill the act at one of its points, and count that."""
    kind = made.store.kind
    try:
        died = _die(made, deed(made, run.chance), number)
    except Broken as broken:
        raise Broken(f"{deed.__name__} at {number} ({where}) on {kind}: {broken}") from broken
    # An act may pass fewer points than the first time, for instance where a directory is made.
    run.counts[f"killed and clean on {kind}" if died else f"not reached on {kind}"] += 1


def _points_of(deed: type[Deed], made: Rig, chance: random.Random) -> list[str]:
    """The points of an act that nobody disturbs."""
    doing = deed(made, chance)
    doing.prepare()
    made.points.arm(doing.kills, _NEVER, side=doing.side)
    if not doing.act():
        raise Broken(f"{deed.__name__} fails undisturbed: {made.logged()}")
    passed = made.points.disarm()
    if not passed:
        raise Broken(f"{deed.__name__} passes no point")
    settle(made.store)
    return passed


def _die(made: Rig, doing: Deed, number: int) -> bool:
    """Do it, die on the way, look at everything, and do it again; whether it died."""
    doing.prepare()
    made.points.arm(doing.kills, number, side=doing.side)
    answered = doing.act()
    made.points.disarm()
    child = made.service.child
    assert child is not None
    died = not answered if doing.is_command else not answered or not child.is_running
    if doing.died:  # and is up again
        died = True
    elif died and not doing.is_command:
        if child.wait(20) != -9:
            raise Broken(f"the server ended by itself: {made.logged()}")
        made.service.start()
    if died:
        doing.recover()
        if doing.chance.random() < 0.5 and not doing.act():  # a client tries again at once
            raise Broken(f"it does not work right afterwards: {made.logged()}")
    settle(made.store, journal=made.journal, service=made.service)
    if not doing.act():
        raise Broken(f"it does not work afterwards: {made.logged()}")
    settle(made.store, journal=made.journal, service=made.service)
    _forget(made, keep=4)
    return died


def _forget(made: Rig, *, keep: int) -> None:
    """Delete the oldest objects: what was checked often would only make the last points slow."""
    for entry in made.journal.living[:-keep]:
        answer = made.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        if answer is None or answer[0] != 204:
            raise Broken(f"deleting {entry.id} answers {answer}")
        entry.deleted = True
    del made.journal.entries[: -2 * keep]
