"""Power cuts: at every call to the disks and every step of every act, and just after its answer.

The filesystem is that of the races, which keeps book of what was synced, a file, a directory or a
whole volume; a cut takes away the rest, in the worst way that POSIX allows, and at every call once
more a part of it, as chance has it. The database is taken at its word: what it committed is there.

Imports, backups and restores are begun again after the cut, as an operator would: then all of it is
there. So it is after a death without a cut, just before a sync: then the next attempt finds what is
in memory and not on the disk, and the power goes when that has ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

import anyio

from juststorage.domain import UNCHANGED, StorageClass
from juststorage.errors import JustStorageError
from juststorage.usecases import ChangeObject, CopyObject, CopyTarget
from tests.races.points import Killed
from tests.races.world import TENANT
from tests.torture.chores import CHORES, Chore
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.machine import Machine, Turn
from tests.torture.service import opened_store

__all__ = ["run"]

_GROUP: Final = 6
"""Small bodies at a time, of which the first may go alone."""


# -- acts -----------------------------------------------------------------------------------------


async def _put(turn: Turn) -> None:
    await turn.process.upload(turn.data, lease_s=0)


async def _put_many(turn: Turn) -> None:
    """At the same time, so that one sync of the volume is for all."""
    ends: list[BaseException] = []

    async def one(number: int) -> None:
        try:
            await turn.process.upload(b"%d " % number + turn.data[:3000], lease_s=0)
        except (JustStorageError, Killed) as end:
            ends.append(end)

    async with anyio.create_task_group() as tasks:
        for number in range(_GROUP):
            tasks.start_soon(one, number)
    if ends:
        raise ends[0]


async def _stream(turn: Turn) -> None:
    await turn.process.stream(turn.data, lease_s=0)


async def _in_turns(turn: Turn) -> None:
    await turn.process.upload_in_turns(turn.data, lease_s=0)


async def _again(turn: Turn) -> None:
    await turn.process.stream(turn.process.world.owed[turn.held], lease_s=0)


async def _replace(turn: Turn) -> None:
    former = await turn.process.holder("key")
    assert former is not None
    turn.process.world.owed.pop(former)  # from now on until the answer, either is right
    await turn.process.upload(turn.data, "key", replace=True, lease_s=0)


async def _move(turn: Turn) -> None:
    change = ChangeObject(turn.process.metadata, turn.process.copier(lease_s=0))
    await change.by_id(TENANT, turn.held, UNCHANGED, storage_class=StorageClass.COLD)


async def _copy(turn: Turn) -> None:
    world = turn.process.world
    case = CopyObject(turn.process.metadata, turn.process.copier(lease_s=0))
    owed = world.owed[turn.held]
    copied = await case.by_id(TENANT, turn.held, CopyTarget(storage_class=StorageClass.COLD))
    world.acknowledge(copied, owed)


async def _collect(turn: Turn) -> None:
    await turn.process.collect()


async def _delete_and_upload(turn: Turn) -> None:
    owed = turn.process.world.owed.pop(turn.held)  # as above
    await turn.process.delete(turn.held)
    await turn.process.collect(trash_retention_s=3600)
    await turn.process.stream(owed, lease_s=0)


ACTS: dict[str, Callable[[Turn], Awaitable[None]]] = {
    "upload": _put,
    "uploads in a group": _put_many,
    "streamed upload": _stream,
    "upload in turns": _in_turns,
    "upload of the same": _again,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "collect": _collect,
    "delete, collect, upload": _delete_and_upload,
}

SIZES = (3000, 200_000, 1_500_000)
"""Within a page of the log, over the limit of small bodies, past the page cache."""


# -- the experiment -------------------------------------------------------------------------------


class _Cuts(NamedTuple):
    """Those of one act at each of its calls to the disks, or of its steps; or deaths there."""

    act: str
    way: str
    size: int
    kind: str

    def __str__(self) -> str:
        what = "killed at sync" if self.way == _DEATH else f"cut at {self.way}"
        return f"{self.act} of {self.size} bytes on {self.kind}, {what}"


_DEATH: Final = "death"
_PARTLY: Final = "call, partly"
"""At a call, and some of what was not synced is on the disk all the same."""

_SOMEWHERE: Final = {"call": (10, 40), _PARTLY: (10, 40), "step": (10, 40, 60), _DEATH: (20,)}
"""About as many as an upload makes, as most acts do, and the longest."""


async def _turn(machine: Machine, cuts: _Cuts, run: Run, at: int) -> bool:
    """One act with a cut; whether it came to its end."""
    world, data = machine.world, run.chance.randbytes(cuts.size)
    process = await world.process("one")
    held = await process.upload(b"held " + data, "held")
    await process.upload(b"former " + data, "key", replace=True)
    if cuts.act == "collect":
        for part in (b"1", b"2"):
            await process.delete(await process.upload(part + data))
    turn = Turn(machine, process, data, held, run.chance)
    chore = CHORES[cuts.act](turn) if cuts.act in CHORES else None
    if chore is not None:
        await chore.prepare()
    turn.process.points.passed.clear()
    if cuts.way == "step":
        turn.process.points.kill_at(at)
    else:
        machine.fuse.set(at, turn.process.points.kill, syncs_only=cuts.way == _DEATH)
    ended = await _ends(turn, chore.act if chore else partial(ACTS[cuts.act], turn))
    if cuts.way == _DEATH and not ended:
        await machine.die()
    else:
        await machine.cut(run.chance if cuts.way == _PARTLY else None)
    if chore is not None:
        await _go_on(chore, ended=ended)
    if cuts.act == "replace":
        reader = await world.process("check")
        holder = await reader.holder("key")
        right = [data] if ended else [data, b"former " + data]
        if holder is None or await reader.read(holder) not in right:
            raise Broken("a key that was replaced has neither what it had nor what was sent")
    await world.check()
    await machine.clear()
    return ended


async def _ends(turn: Turn, act: Callable[[], Awaitable[None]]) -> bool:
    """Whether it came to its end, and was answered."""
    try:
        await act()
    except (Killed, JustStorageError, BaseExceptionGroup) as end:
        deaths = (Killed, JustStorageError) if turn.machine.fuse.is_blown else (Killed,)
        if _others(end, deaths):
            raise Broken(f"it fails: {end!r}") from end
        return False
    return not turn.process.points.dead


def _others(end: BaseException, deaths: tuple[type[BaseException], ...]) -> bool:
    """Whether there is anything but deaths in it, which come in groups where many tasks die."""
    if isinstance(end, BaseExceptionGroup):
        return end.split(deaths)[1] is not None
    return not isinstance(end, deaths)


async def _go_on(chore: Chore, *, ended: bool) -> None:
    """Begin it again, unless it has ended; then the power goes, and all of it is there."""
    turn = chore.turn
    if not ended:
        await chore.between()
        turn.process = await turn.machine.world.process("again")
        await chore.act()
        await turn.machine.cut()
    turn.process = await turn.machine.world.process("afterwards")
    await chore.check()


async def _cut(machine: Machine, run: Run, cuts: _Cuts, at: int) -> bool:
    """One act with a cut, under its name; whether it came to its end."""
    run.begin(f"{cuts} {at}")
    synced = run.counts["syncs of a whole volume"]
    try:
        ended = await _turn(machine, cuts, run, at)
    except Exception as error:
        raise Broken(f"{run.at}: {error!r}") from error
    in_one = run.counts["syncs of a whole volume"] > synced
    if ended and cuts.act == "uploads in a group" and not in_one:
        raise Broken(f"{run.at}: no group of small bodies was synced as one")
    if not ended and cuts.way == _DEATH:
        how = "after a death and another attempt"
    else:
        how = "just after an answer" if ended else f"at a {cuts.way}"
    run.counts[f"power cuts {how} on {cuts.kind}"] += 1
    return ended


def _all_cuts(kind: str) -> list[_Cuts]:
    """Act by act within each size and way; deaths are for what is begun again."""
    ways = [("call", act) for act in (*ACTS, *CHORES)]
    ways += [(_PARTLY, act) for act in (*ACTS, *CHORES)]
    ways += [("step", act) for act in (*ACTS, *CHORES)]
    ways += [(_DEATH, act) for act in CHORES]
    return [_Cuts(act, way, size, kind) for size, (way, act) in itertools.product(SIZES, ways)]


async def _everywhere(run: Run, machine: Machine) -> None:
    """Every act at each of its calls, steps and syncs; or at the one that is wanted."""

    def name(cuts: _Cuts) -> str:
        return run.only if run.only.startswith(f"{cuts} ") else str(cuts)

    for cuts in run.each(_all_cuts(machine.kind), name):
        if name(cuts) != str(cuts):
            await _cut(machine, run, cuts, int(run.only.removeprefix(f"{cuts} ")))
            continue
        for at in itertools.count(1):
            assert at < 500, "the act never ends"
            if await _cut(machine, run, cuts, at):
                how = "cut at every" if at > 1 else "without a"
                run.counts[f"acts {how} {cuts.way} on {machine.kind}"] += 1
                break
            if run.is_stopped:
                return


async def _in_turns(run: Run, machine: Machine, *, until_left_s: float) -> None:
    """One cut of each act after the other, so that a short run has seen all acts."""
    chance = run.chance
    todo: dict[str, list[_Cuts]] = {}
    for cuts in _all_cuts(machine.kind):
        todo.setdefault(cuts.act, []).append(cuts)
    acts = list(todo)
    chance.shuffle(acts)
    for number, act in enumerate(itertools.cycle(acts)):
        if number and run.left_s <= until_left_s:  # one at least
            return
        cuts = chance.choice(todo[act])
        await _cut(machine, run, cuts, chance.randint(1, chance.choice(_SOMEWHERE[cuts.way])))
    raise AssertionError("there is always another one")


def run(run: Run) -> Counts:
    """Cut at every call and step, act by act."""
    for place, kind in enumerate(run.stores):
        run.on = kind
        with opened_store(kind, run.folder / kind) as store:
            machine = Machine(store, run.counts)
            if run.is_complete:
                anyio.run(_everywhere, run, machine)
            else:
                until_left_s = run.until_left_s(place)
                anyio.run(partial(_in_turns, run, machine, until_left_s=until_left_s))
    return run.counts
