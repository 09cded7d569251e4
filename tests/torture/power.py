"""Power cuts: at every call to the disks and every step of every act, and just after its answer.

The filesystem is that of the races, which keeps book of what was synced, a file, a directory or a
whole volume; a cut takes away the rest, in the worst way that POSIX allows. The database is taken
at its word: what it committed is there.

What an import sends, and a backup, are done again after the cut, as an operator would: then all of
it is there. A backup that had ended before is whole without that.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import anyio

from juststorage.domain import UNCHANGED, ObjectId, StorageClass
from juststorage.errors import JustStorageError
from juststorage.usecases import ChangeObject, CopyObject, CopyTarget, CreateBackup, VerifyBackup
from tests.races.points import Killed
from tests.races.world import TENANT, Process
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.machine import Machine, read_back
from tests.torture.service import opened_store

__all__ = ["run"]

_SOMEWHERE: Final = 40
"""About as many calls as most acts make."""

_GROUP: Final = 6
"""Small bodies at a time, of which the first may go alone."""


@dataclass
class _Turn:
    """Whom an act is done by, and with what.

    Args:
        data: New content.
        held: An object that is there.
    """

    machine: Machine
    process: Process
    data: bytes
    held: ObjectId


# -- acts -----------------------------------------------------------------------------------------


async def _put(turn: _Turn) -> None:
    await turn.process.upload(turn.data, lease_s=0)


async def _put_many(turn: _Turn) -> None:
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


async def _stream(turn: _Turn) -> None:
    await turn.process.stream(turn.data, lease_s=0)


async def _in_turns(turn: _Turn) -> None:
    await turn.process.upload_in_turns(turn.data, lease_s=0)


async def _again(turn: _Turn) -> None:
    await turn.process.stream(turn.process.world.owed[turn.held], lease_s=0)


async def _replace(turn: _Turn) -> None:
    former = await turn.process.holder("key")
    assert former is not None
    turn.process.world.owed.pop(former)  # from now on until the answer, either is right
    await turn.process.upload(turn.data, "key", replace=True, lease_s=0)


async def _move(turn: _Turn) -> None:
    change = ChangeObject(turn.process.metadata, turn.process.copier(lease_s=0))
    await change.by_id(TENANT, turn.held, UNCHANGED, storage_class=StorageClass.COLD)


async def _copy(turn: _Turn) -> None:
    world = turn.process.world
    case = CopyObject(turn.process.metadata, turn.process.copier(lease_s=0))
    owed = world.owed[turn.held]
    copied = await case.by_id(TENANT, turn.held, CopyTarget(storage_class=StorageClass.COLD))
    world.acknowledge(copied, owed)


async def _collect(turn: _Turn) -> None:
    await turn.process.collect()


async def _delete_and_upload(turn: _Turn) -> None:
    owed = turn.process.world.owed.pop(turn.held)  # as above
    await turn.process.delete(turn.held)
    await turn.process.collect(trash_retention_s=3600)
    await turn.process.stream(owed, lease_s=0)


def _files(turn: _Turn) -> Iterator[tuple[str, bytes]]:
    """What is imported: two files of one content among them."""
    yield "a", turn.data
    yield "b", b""
    yield "c/d", turn.data[: len(turn.data) // 2]
    yield "c/e", turn.data


async def _import(turn: _Turn) -> None:
    """The requests of an import, which leaves out what is there."""
    for key, data in _files(turn):
        if await read_back(turn.process, key) != data:
            send = turn.process.stream if len(data) > 64 * 1024 else turn.process.upload
            await send(data, key, replace=True, lease_s=0)


async def _import_again(turn: _Turn, *, ended: bool) -> None:
    await _import(turn)
    for key, data in _files(turn):
        if await read_back(turn.process, key) != data:
            raise Broken(f"{key} is not there after an import that was run again")


class _Nobody:
    """Watches no progress."""

    def expects(self, size_bytes: int) -> None:
        """Nothing."""

    def moved(self, size_bytes: int) -> None:
        """Nothing."""


async def _backup(turn: _Turn) -> None:
    process = turn.process
    async with turn.machine.backups(process.points) as (target, runtime):
        creation = CreateBackup(
            process.metadata,
            process.blobs,
            runtime.hashers,
            target,
            clock=runtime.clock,
            watcher=_Nobody(),
            jobs=1,
            made_by="torture",
        )
        report = await creation.run()
    if report.missing:
        raise Broken(f"a backup lacks {report.missing}")


async def _backup_again(turn: _Turn, *, ended: bool) -> None:
    if not ended:
        await _backup(turn)
    async with turn.machine.backups(turn.process.points) as (target, runtime):
        verification = VerifyBackup(
            runtime.hashers, target, clock=runtime.clock, watcher=_Nobody(), jobs=1
        )
        manifest = await target.manifest(None)
        damages = [str(damage) async for damage in verification.run(manifest)]
    if damages:
        raise Broken(f"a backup that had ended is damaged: {damages}")
    if manifest.records["objects"] < len(turn.process.world.owed):
        raise Broken(f"a backup has {manifest.records} of {len(turn.process.world.owed)} objects")


ACTS: dict[str, Callable[[_Turn], Awaitable[None]]] = {
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
    "import": _import,
    "backup": _backup,
}
_AFTERWARDS: dict[str, Callable[..., Awaitable[None]]] = {
    "import": _import_again,
    "backup": _backup_again,
}
"""What is done after the cut, and what must be there then."""

SIZES = (3000, 200_000, 1_500_000)
"""Within a page of the log, over the limit of small bodies, past the page cache."""


# -- the experiment -------------------------------------------------------------------------------


class _Cuts(NamedTuple):
    """Those of one act at each of its calls to the disks, or of its steps."""

    act: str
    way: str
    size: int
    kind: str

    def __str__(self) -> str:
        return f"{self.act} of {self.size} bytes on {self.kind}, cut at {self.way}"


async def _turn(machine: Machine, cuts: _Cuts, data: bytes, at: int) -> bool:
    """One act with a cut; whether it came to its end."""
    world = machine.world
    process = await world.process("one")
    held = await process.upload(b"held " + data, "held")
    await process.upload(b"former " + data, "key", replace=True)
    if cuts.act == "collect":
        for part in (b"1", b"2"):
            await process.delete(await process.upload(part + data))
    process.points.passed.clear()
    if cuts.way == "call":
        machine.fuse.set(at, process.points.kill)
    else:
        process.points.kill_at(at)
    turn = _Turn(machine, process, data, held)
    try:
        await ACTS[cuts.act](turn)
        ended = True
    except Killed:
        ended = False
    except JustStorageError as error:
        if not machine.fuse.is_blown:
            raise Broken(f"it fails: {error!r}") from error
        ended = False
    ended = ended and not process.points.dead
    await machine.cut()
    await world.check()
    if cuts.act in _AFTERWARDS:
        turn.process = await world.process("again")
        await _AFTERWARDS[cuts.act](turn, ended=ended)
        await world.check()
    await machine.clear()
    return ended


async def _cut(machine: Machine, run: Run, cuts: _Cuts, at: int) -> bool:
    """One act with a cut, under its name; whether it came to its end."""
    run.begin(f"{cuts} {at}")
    synced = run.counts["syncs of a whole volume"]
    try:
        ended = await _turn(machine, cuts, run.chance.randbytes(cuts.size), at)
    except Exception as error:
        raise Broken(f"{run.at}: {error!r}") from error
    in_one = run.counts["syncs of a whole volume"] > synced
    if ended and cuts.act == "uploads in a group" and not in_one:
        raise Broken(f"{run.at}: no group of small bodies was synced as one")
    how = "just after an answer" if ended else f"at a {cuts.way}"
    run.counts[f"power cuts {how} on {cuts.kind}"] += 1
    return ended


def _all_cuts(kind: str) -> list[_Cuts]:
    return [
        _Cuts(act, way, size, kind)
        for size, way, act in itertools.product(SIZES, ("call", "step"), ACTS)
    ]


async def _everywhere(run: Run, machine: Machine) -> None:
    """Every act at each of its calls, and steps; or at the one that is wanted."""

    def name(cuts: _Cuts) -> str:
        return run.only if run.only.startswith(f"{cuts} ") else str(cuts)

    for cuts in run.each(_all_cuts(machine.kind), name):
        if name(cuts) != str(cuts):
            await _cut(machine, run, cuts, int(run.only.removeprefix(f"{cuts} ")))
            continue
        for at in itertools.count(1):
            assert at < 500, "the act never ends"
            if await _cut(machine, run, cuts, at):
                run.counts[f"acts cut at every {cuts.way} on {machine.kind}"] += 1
                break
            if run.is_stopped:
                return


async def _in_turns(run: Run, machine: Machine, *, until_left_s: float) -> None:
    """Act by act, anywhere."""
    todo, chance = _all_cuts(machine.kind), run.chance
    chance.shuffle(todo)
    for cuts in itertools.cycle(todo):
        if run.left_s <= until_left_s:
            return
        await _cut(machine, run, cuts, chance.randint(1, _SOMEWHERE))
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
