"""Freeze: SIGSTOP at every point of uploads and of collections, until they are taken for dead.

While a process stands, its lease or claim runs out, collectors reap and sweep after it, and another
server takes the same bytes in, or takes them in, deletes and collects them. Then SIGCONT: whatever
the frozen one still does, nothing comes back to life, and nothing that was acknowledged is lost. An
upload that was reaped is refused, adds no object, and what it staged goes away. Collectors are
frozen while they reap, too.

A process that is frozen within a transaction holds its locks. PostgreSQL ends such a transaction
after a time, which the experiment does at once; SQLite's others are refused until it goes on.
"""

from __future__ import annotations

import signal
import threading
import time
from functools import partial

from tests.torture.acts import (
    OBJECTS,
    Collect,
    Copy,
    Deed,
    Move,
    Purge,
    Reap,
    Replace,
    ReplaceLarge,
    Upload,
    UploadDeleted,
    UploadInTurns,
    UploadLarge,
    UploadOnce,
    UploadSame,
    UploadSameLarge,
)
from tests.torture.aims import Aim, Hits, aims_at
from tests.torture.auditor import settle
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken
from tests.torture.members import Service
from tests.torture.nursery import Child
from tests.torture.points import Act, Point

__all__ = ["check_reaped", "run"]

_UPLOADS: tuple[type[Deed], ...] = (
    *(Upload, UploadLarge, UploadSame, UploadSameLarge, UploadOnce, UploadDeleted, UploadInTurns),
    *(Replace, ReplaceLarge, Move, Copy),
)
_COLLECTIONS: tuple[type[Collect], ...] = (Collect, Purge, Reap)
_PATIENCE_S = 60.0
_REAPED = "reaped while frozen, and told"
_WRITING = "objects WHERE status = 'WRITING'"
_COMMITTED = "objects WHERE status = 'COMMITTED'"
_END_IDLE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)


def run(run: Run) -> Counts:
    """Freeze at every point for which there is time, in the order that the seed gives."""
    metadata = {"sqlite": {"busy_timeout_s": 0.2}, "postgres": {"lock_timeout_s": 0.5}}
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        hits = Hits(run, kind, "frozen and clean")
        with rig(run, kind, options=metadata[kind]) as made:
            other = Service(made.nursery, made.config, made.service.log)
            other.start()
            deeds = (*_UPLOADS, *_COLLECTIONS)
            frosts = {
                deed.__name__: partial(aims_at, made, run, hits, deed, Act.FREEZE) for deed in deeds
            }
            for frost in run.in_turns(frosts, str, until_left_s=until_left_s):
                _try(made, other, run, frost, hits)
        hits.check()
        check_reaped(run, kind)
    return run.counts


def check_reaped(run: Run, kind: str) -> None:
    """After a whole pass on one store, with what its earlier runs counted.

    Raises:
        Broken: Nobody was reaped while frozen: what that comes to was never looked at.
    """
    told = (n for what, n in run.counts.items() if what.startswith(_REAPED) and what.endswith(kind))
    if run.is_whole and not sum(told):
        raise Broken(f"no upload was reaped on {kind} while it was frozen, and told so")


def _try(made: Rig, other: Service, run: Run, frost: Aim, hits: Hits) -> None:
    """Freeze the act at one of its points, and count that."""
    hits.aim(frost, partial(_once, made, other, run, frost))


def _once(made: Rig, other: Service, run: Run, frost: Aim) -> bool:
    """Whether it was frozen there."""
    doing = frost.deed(made, run.chance)
    doing.prepare()
    deletes = run.chance.random() < 0.5
    # A frozen collector that also dies soon after leaves to others what it would have put back.
    dies = doing.is_command and run.chance.random() < 0.5
    try:
        frozen = _freeze(made, other, doing, frost.at, run.counts, deletes=deletes, dies=dies)
        if dies:
            settle(made.store)  # before any reader brings back what it misses
        settle(made.store, journal=made.journal, service=made.service)
        made.journal.check(other.read, other.read_key)
    except Broken as broken:
        after = "uploaded, deleted and collected" if deletes else "uploaded"
        raise Broken(f"{frost}, frozen while the same was {after}: {broken}") from broken
    if doing.refused:
        run.counts[f"answered {doing.refused} after a freeze on {frost.kind}"] += 1
    del made.journal.entries[:-30]
    return frozen


def _freeze(
    made: Rig,
    other: Service,
    doing: Deed,
    at: Point,
    counts: Counts,
    *,
    deletes: bool,
    dies: bool,
) -> bool:
    """Freeze it, let the others go on, thaw it; whether it was frozen."""
    problems: list[BaseException] = []
    doing.refusals, doing.codes = (404, 409, 503), (0, 1, -9)

    def act() -> None:
        try:
            doing.act()
        except BaseException as error:  # noqa: BLE001  raised below, in the experiment's thread
            problems.append(error)

    made.points.arm(Act.FREEZE, at, side=doing.side)
    acting = threading.Thread(target=act)
    acting.start()
    child = _wait_frozen(made, doing, acting)
    is_reaped, committed = False, 0
    try:
        if child is not None:
            had_begun = made.store.count(_WRITING) > 0
            _go_on(made, other, doing.at_stake, deletes=deletes)
            is_reaped = had_begun and not doing.is_command and not made.store.count(_WRITING)
            committed = made.store.count(_COMMITTED)
    finally:
        if dies:
            made.points.arm(Act.KILL, doing.chance.randrange(1, 5), side=doing.side)
        if child is not None:
            child.send(signal.SIGCONT)
        acting.join(_PATIENCE_S)
        made.points.disarm()
        _thaw_late_ones(made, other)
    if acting.is_alive():
        raise Broken("it does not end after it was thawed")
    if problems:
        raise problems[0]
    if is_reaped:
        if doing.refused is None:
            raise Broken("it was reaped while it was frozen, and was answered with success")
        if made.store.count(_COMMITTED) != committed:
            raise Broken(f"it was reaped, was told {doing.refused}, and came to life")
        counts[f"{_REAPED} {doing.refused}, on {made.store.kind}"] += 1
    return child is not None


def _thaw_late_ones(made: Rig, other: Service) -> None:
    """What a server does by itself may come to the point, too, and when the act has just ended."""
    time.sleep(0.05)
    for child in (made.service.child, other.child, made.child):
        if child is not None and child.is_frozen():
            child.send(signal.SIGCONT)


def _wait_frozen(made: Rig, doing: Deed, acting: threading.Thread) -> Child | None:
    """The process that is frozen, or None if the act came to its end."""
    while acting.is_alive():
        child = made.child if doing.is_command else made.service.child
        if child is not None and child.is_frozen():
            return child
        time.sleep(0.002)
    return None


def _go_on(made: Rig, other: Service, data: bytes, *, deletes: bool) -> None:
    """Time goes by, and others work. They may be refused where the frozen one holds a lock."""
    if made.store.kind == "postgres":
        made.store.sql(_END_IDLE)
    made.store.expire_leases(patience_s=0.2)
    _collect(made)
    answer = other.call("POST", OBJECTS, data)
    if answer is None or answer[0] not in {201, 503}:
        raise Broken(f"the other server answers {answer}")
    if answer[0] == 201:
        entry = made.journal.uploaded(answer[1], data)
        if deletes:
            entry.deleted = None
            answer = other.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
            if answer is None or answer[0] not in {204, 503}:
                raise Broken(f"the other server answers {answer}")
            entry.deleted = True if answer[0] == 204 else None
    _collect(made)


def _collect(made: Rig) -> None:
    words = ["gc", "run", "--grace-s", "0", "--config", str(made.config)]
    code = made.nursery.run(words, made.service.log)
    if code not in {0, 1, 2}:
        raise Broken(f"gc run ended with code {code}: {made.logged()}")
