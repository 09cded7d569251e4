"""Power cuts: at every call to the disk and every step of every act, and just after its answer.

The filesystem is that of the races, which keeps book of what was synced; a cut takes away the rest,
in the worst way that POSIX allows. The database is taken at its word: what it committed is there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from juststorage.domain import UNCHANGED, ObjectId, ObjectStatus, StorageClass
from juststorage.errors import JustStorageError
from juststorage.usecases import ChangeObject, CopyObject, CopyTarget
from tests.races.points import Killed
from tests.races.power import ForgetfulOps, LocalFSOn
from tests.races.world import TENANT, Process, World
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken

__all__ = ["run"]


class _Fuse:
    """Blows at the n-th call that changes something on any disk of a machine."""

    def __init__(self) -> None:
        self.is_blown = False
        self._left = 0
        self._on_blow: Callable[[], None] = lambda: None

    def set(self, number: int, on_blow: Callable[[], None] = lambda: None) -> None:
        """Blow at the `number`-th call from now; 0: never."""
        self.is_blown, self._left, self._on_blow = False, number, on_blow

    def step(self) -> None:
        """A call. Raises `OSError` once it is blown."""
        self._left -= 1
        if self._left == 0:
            self.is_blown = True
            self._on_blow()
        if self.is_blown:
            raise OSError(5, "the power is gone")


class _CuttingOps(ForgetfulOps):
    """The filesystem of the races behind a fuse."""

    def __init__(self, root: Path, safe: Path, fuse: _Fuse) -> None:
        super().__init__(root, safe)
        self._fuse = fuse

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            self._fuse.step()
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        self._fuse.step()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._fuse.step()
        super().fsync(fd)

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        self._fuse.step()
        super().rename(source, target, dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        self._fuse.step()
        super().link(source, target, dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._fuse.step()
        super().unlink(path, dir_fd=dir_fd)

    def mkdir(self, path: str, *, dir_fd: int | None = None) -> None:
        self._fuse.step()
        super().mkdir(path, dir_fd=dir_fd)


# -- acts -----------------------------------------------------------------------------------------


async def _put(process: Process, data: bytes, held: ObjectId) -> None:
    await process.upload(data, lease_s=0)


async def _stream(process: Process, data: bytes, held: ObjectId) -> None:
    await process.stream(data, lease_s=0)


async def _in_turns(process: Process, data: bytes, held: ObjectId) -> None:
    await process.upload_in_turns(data, lease_s=0)


async def _again(process: Process, data: bytes, held: ObjectId) -> None:
    await process.stream(process.world.owed[held], lease_s=0)


async def _replace(process: Process, data: bytes, held: ObjectId) -> None:
    former = await process.holder("key")
    assert former is not None
    process.world.owed.pop(former)  # from now on until the answer, either is right
    await process.upload(data, "key", replace=True, lease_s=0)


async def _move(process: Process, data: bytes, held: ObjectId) -> None:
    change = ChangeObject(process.metadata, process.copier(lease_s=0))
    await change.by_id(TENANT, held, UNCHANGED, storage_class=StorageClass.COLD)


async def _copy(process: Process, data: bytes, held: ObjectId) -> None:
    case = CopyObject(process.metadata, process.copier(lease_s=0))
    owed = process.world.owed[held]
    copied = await case.by_id(TENANT, held, CopyTarget(storage_class=StorageClass.COLD))
    process.world.acknowledge(copied, owed)


async def _collect(process: Process, data: bytes, held: ObjectId) -> None:
    await process.collect()


async def _delete_and_upload(process: Process, data: bytes, held: ObjectId) -> None:
    owed = process.world.owed.pop(held)  # as above
    await process.delete(held)
    await process.collect(trash_retention_s=3600)
    await process.stream(owed, lease_s=0)


ACTS: dict[str, Callable[[Process, bytes, ObjectId], Awaitable[None]]] = {
    "upload": _put,
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


class _Machine:
    """A world on disks that lose power."""

    def __init__(self, folder: Path) -> None:
        self.fuse = _Fuse()
        self.disks: dict[str, _CuttingOps] = {}
        for name in ("hot", "cold"):
            safe = folder / f"safe {name}"
            safe.mkdir(parents=True)
            self.disks[name] = _CuttingOps(folder / name, safe, self.fuse)
        config = {
            "data_dir": str(folder),
            "metadata": {"backend": "sqlite"},
            "blobs": {name: {"backend": "watched"} for name in self.disks},
            "auth": {"chain": []},
        }
        self.world = World(
            kind="sqlite",
            config=config,
            root=folder,
            shared=True,
            tools=None,
            plugins=[LocalFSOn(lambda context: self.disks[str(context.storage_class)])],
        )

    async def cut(self) -> None:
        """Everything stops, what was not synced is gone, and the machine starts again."""
        await self.world.stop()
        for disk in self.disks.values():
            disk.cut()
        self.fuse.set(0)

    async def turn(self, name: str, data: bytes, *, call: int = 0, step: int = 0) -> bool:
        """One act with a cut at a call to the disk, or at a step; whether it came to its end."""
        world = self.world
        process = await world.process("one")
        held = await process.upload(b"held " + data, "held")
        await process.upload(b"former " + data, "key", replace=True)
        if name == "collect":
            for part in (b"1", b"2"):
                await process.delete(await process.upload(part + data))
        self.fuse.set(call, process.points.kill)
        process.points.passed.clear()
        if step:
            process.points.kill_at(step)
        try:
            await ACTS[name](process, data, held)
            ended = True
        except Killed:
            ended = False
        except JustStorageError as error:
            if not self.fuse.is_blown:
                raise Broken(f"{name} fails: {error!r}") from error
            ended = False
        ended = ended and not process.points.dead
        await self.cut()
        await world.check()
        await self._clear()
        return ended

    async def _clear(self) -> None:
        process = await self.world.process("cleaner")
        found = await process.runtime.metadata.objects.scan(after=None, limit=1000)
        for each in found:
            if each.status is ObjectStatus.COMMITTED:
                await process.delete(each.id)
        await process.collect()
        self.world.owed.clear()
        self.world.gone.clear()
        await self.world.stop()


async def _run(run: Run, counts: Counts) -> None:
    machine = _Machine(run.folder / "machine")
    names = list(ACTS)
    if not run.is_complete:
        run.chance.shuffle(names)
    todo = list(itertools.product(SIZES, ("call", "step"), names))
    while run.left_s > 0:
        for size, way, name in todo if not run.is_complete else run.each(todo, str):
            await _everywhere(machine, run, counts, name=name, way=way, size=size)
        if run.is_complete:
            return


async def _everywhere(
    machine: _Machine, run: Run, counts: Counts, *, name: str, way: str, size: int
) -> None:
    """Cut one act at each of its calls, or steps."""
    at = 0
    while run.left_s > 0:
        at += 1
        try:
            ended = await machine.turn(name, run.chance.randbytes(size), **{way: at})
        except Exception as error:
            raise Broken(f"{name}, cut at {way} {at}: {error!r}") from error
        if ended:
            counts["power cuts just after an answer"] += 1
            counts["acts cut at every " + way] += 1
            return
        counts[f"power cuts at a {way}"] += 1
        assert at < 500, "the act never ends"


def run(run: Run) -> Counts:
    """Cut at every call and step, act by act."""
    counts = run.counts
    anyio.run(_run, run, counts)
    return counts
