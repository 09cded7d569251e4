"""Crash points: SIGKILL at every point of every act, one after the other.

A point is before each call that changes a file (and in the middle of each write), and before and
after each statement. After each death: the server starts again, the act is tried again at once or
not, everything in the journal is read, leases end, the garbage is collected, the deep auditor finds
nothing, everything is read once more, and the act, done again, succeeds. An import whose server
dies goes on when that is back; one that dies itself is run again: all is there, and nothing twice.
"""

from __future__ import annotations

from functools import partial
from itertools import chain, count
from typing import Final

from tests.torture.acts import ACTS, Deed
from tests.torture.aims import Aim, Hits, aims_at
from tests.torture.auditor import settle
from tests.torture.backups import BACKUPS
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.imports import IMPORTS
from tests.torture.journal import Broken
from tests.torture.points import Point

__all__ = ["run"]

_GROUPS: Final = (ACTS, BACKUPS, IMPORTS)
"""A command that is to be enumerated as well is a deed of its own, and is added here.

In a complete pass each of them has a store of its own. What was answered to nobody stays, as does
what an import has brought: a back-up after all other acts had 2,334 points, and alone it has 128.
"""


def run(run: Run) -> Counts:
    """Kill at every point for which there is time, in an order that the seed gives."""
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        hits = Hits(run, kind, "killed and clean")
        for number, deeds in enumerate(_GROUPS if run.is_complete else [chain(*_GROUPS)]):
            with rig(run, kind, name=f"{kind}-{number}") as made:
                deaths = {deed.__name__: partial(aims_at, made, run, hits, deed) for deed in deeds}
                for death in run.in_turns(deaths, str, until_left_s=until_left_s):
                    _kill(made, run, death, hits)
        hits.check()
    return run.counts


def _kill(made: Rig, run: Run, death: Aim, hits: Hits) -> None:
    """Kill the act at one of its points, and count that."""
    tries = count()

    def once() -> bool:
        if next(tries):  # what a server looks up now and then, it looks up when it is new
            made.service.stop()
            made.service.start()
        return _die(made, death.deed(made, run.chance), death.at)

    try:
        hits.aim(death, once)
    except Broken as broken:
        raise Broken(f"{death}: {broken}") from broken


def _die(made: Rig, doing: Deed, at: Point) -> bool:
    """Do it, die on the way, look at everything, and do it again; whether it died."""
    doing.prepare()
    made.points.arm(doing.kills, at, side=doing.side)
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
        doing.may_wait = True
        if doing.chance.random() < 0.5 and not doing.act():  # a client tries again at once
            raise Broken(f"it does not work right afterwards: {made.logged()}")
        doing.may_wait = False  # from here on all leases have ended
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
