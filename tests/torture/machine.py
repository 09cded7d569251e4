"""A machine whose disks lose what was not synced, at the call to them that an experiment names."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from juststorage.domain import ObjectId, ObjectStatus, StorageClass
from juststorage.runtime import Runtime, open_runtime
from juststorage.usecases import BackupTarget, FixedPlaces
from tests.races.points import Points, blobs_at
from tests.races.power import ForgetfulOps, LocalFSOn
from tests.races.world import Process, World
from tests.torture.service import Store

__all__ = ["Fuse", "Machine", "Turn"]

_CLASSES: Final = ("hot", "cold")


class Fuse:
    """Blows at the n-th call that changes something on any disk of a machine, or at a sync."""

    def __init__(self) -> None:
        self.is_blown = False
        self._left = 0
        self._syncs_only = False
        self._on_blow: Callable[[], None] = lambda: None

    def set(
        self,
        number: int,
        on_blow: Callable[[], None] = lambda: None,
        *,
        syncs_only: bool = False,
    ) -> None:
        """Blow at the `number`-th call from now, or of the syncs; 0: never."""
        self.is_blown, self._left, self._on_blow = False, number, on_blow
        self._syncs_only = syncs_only

    def step(self, *, is_sync: bool = False) -> None:
        """A call. Raises `OSError` once it is blown."""
        if is_sync or not self._syncs_only:
            self._left -= 1
            if self._left == 0:
                self.is_blown = True
                self._on_blow()
        if self.is_blown:
            raise OSError(5, "the power is gone")


class _CuttingOps(ForgetfulOps):
    """The filesystem that forgets, behind a fuse, with whole volumes to be synced at once."""

    def __init__(self, root: Path, safe: Path, fuse: Fuse, counts: Counter[str]) -> None:
        safe.mkdir(parents=True)
        super().__init__(root, safe, whole=True)
        self.amid_volume_sync = fuse.step
        self._fuse = fuse
        self._counts = counts

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            self._fuse.step()
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        self._fuse.step()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._fuse.step(is_sync=True)
        super().fsync(fd)

    def sync_volume(self, fd: int) -> None:
        self._fuse.step(is_sync=True)
        super().sync_volume(fd)
        self._counts["syncs of a whole volume"] += 1

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

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._fuse.step()
        super().rmdir(path, dir_fd=dir_fd)

    def truncate(self, fd: int, length: int) -> None:
        self._fuse.step()
        super().truncate(fd, length)

    def allocate(self, fd: int, length: int) -> None:
        self._fuse.step()
        super().allocate(fd, length)


class Machine:
    """A world on disks that lose power, and disks of its backups that lose it together with them.

    The database loses nothing that it committed: that it does not is its own promise, and where its
    rows are is another disk.

    Args:
        store: Where the rows are.
        counts: What the disks were asked to do.
    """

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        self.fuse = Fuse()
        self.kind = store.kind
        self._store = store
        folder = store.folder
        self._disks, plugin = self._some_disks(folder, counts)
        self._backup_disks, self._backup_plugin = self._some_disks(folder / "backup", counts)
        config = _config(folder, store.section())
        # A store of backups is one of blobs: what is a class there is a place here.
        self._backup_config = _config(folder / "backup", {"backend": "memory"})
        self.world = World(
            kind=store.kind, config=config, root=folder, shared=True, tools=None, plugins=[plugin]
        )

    def _some_disks(
        self, folder: Path, counts: Counter[str]
    ) -> tuple[dict[str, _CuttingOps], LocalFSOn]:
        disks = {
            name: _CuttingOps(folder / name, folder / f"safe {name}", self.fuse, counts)
            for name in _CLASSES
        }
        return disks, LocalFSOn(lambda context: disks[str(context.storage_class)])

    @asynccontextmanager
    async def backups(self, points: Points) -> AsyncIterator[tuple[BackupTarget, Runtime]]:
        """Where backups lie, open, with points; and what has the hashers for them."""
        opened = open_runtime(self._backup_config, plugins=[self._backup_plugin])
        async with opened as runtime:
            blobs = blobs_at(runtime.blobs, points)
            contents, manifests = blobs[StorageClass.HOT], blobs[StorageClass.COLD]
            yield BackupTarget(contents, manifests, FixedPlaces(contents)), runtime

    async def cut(self, chance: random.Random | None = None) -> None:
        """Everything stops, what was not synced is gone, and the machine starts again.

        Args:
            chance: Says what of it is there all the same; None: nothing.
        """
        await self.die()
        for disk in (*self._disks.values(), *self._backup_disks.values()):
            disk.cut(chance)

    async def die(self) -> None:
        """Every process stops. The machine goes on, and with it what is in its memory."""
        await self.world.stop()
        self.fuse.set(0)

    async def lose_database(self) -> None:
        """Every process stops, and no row is left."""
        await self.die()
        if self.kind == "postgres":
            from juststorage_postgres.testing import EMPTY

            await anyio.to_thread.run_sync(self._store.sql, EMPTY)
            return
        for file in self._store.folder.glob("metadata.sqlite3*"):
            file.unlink()

    async def clear(self) -> None:
        """Leave nothing to the next one."""
        process = await self.world.process("cleaner")
        backups = process.runtime.metadata.backups
        for hold in await backups.holds():
            await backups.release(hold.name)
        found = await process.runtime.metadata.objects.scan(after=None, limit=1000)
        for each in found:
            if each.status is ObjectStatus.COMMITTED:
                await process.delete(each.id)
        await process.collect()
        self.world.owed.clear()
        self.world.gone.clear()
        await self.cut()
        # Each backup reads the manifests before it, and would take a step more each time.
        for name in self._backup_disks:
            shutil.rmtree(self.world.root / "backup" / name, ignore_errors=True)


@dataclass
class Turn:
    """Whom an act is done by, and with what.

    Args:
        data: New content.
        held: An object that is there.
        chance: What it chooses by.
    """

    machine: Machine
    process: Process
    data: bytes
    held: ObjectId
    chance: random.Random


def _config(folder: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "data_dir": str(folder),
        "metadata": metadata,
        "blobs": {name: {"backend": "watched"} for name in _CLASSES},
        "auth": {"chain": []},
    }
