"""What an operator begins again when it was cut off: imports, backups and restores, for `power`.

Each is the use case of the command, in process, and of an import what that asks of the server.
Once a chore has ended, at whichever attempt, all of it is there, and stays there when the power
goes once more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from juststorage.domain import ObjectId
from juststorage.errors import InvalidState
from juststorage.testing import make_content
from juststorage.usecases import CreateBackup, RestoreBackup, VerifyBackup
from tests.torture.journal import Broken
from tests.torture.machine import Turn

__all__ = ["CHORES", "Chore"]

_SMALL_BYTES_MAX = 64 * 1024
"""What is larger is streamed, as the server does it."""


class _Nobody:
    """Watches no progress."""

    def expects(self, size_bytes: int) -> None:
        """Nothing."""

    def moved(self, size_bytes: int) -> None:
        """Nothing."""


class Chore(ABC):
    """One chore in one turn.

    Args:
        turn: Whom it is done by; the process is another one after each death.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    async def prepare(self) -> None:  # noqa: B027 - a chore may need nothing
        """What must come before; nothing disturbs it."""

    @abstractmethod
    async def act(self) -> None:
        """Do it, or go on with it, to its end."""

    async def between(self) -> None:
        """What must be true where it was cut off, and what may happen before it is begun again."""
        await self.turn.machine.world.check()

    @abstractmethod
    async def check(self) -> None:
        """All of it is there.

        Raises:
            Broken: It is not.
        """


class _Import(Chore):
    """The requests of an import, which leaves out what is there."""

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Two files of one content among them."""
        data = self.turn.data
        yield "a", data
        yield "b", b""
        yield "c/d", data[: len(data) // 2]
        yield "c/e", data

    async def act(self) -> None:
        process = self.turn.process
        for key, data in self._files():
            if await self._read(key) != data:
                send = process.stream if len(data) > _SMALL_BYTES_MAX else process.upload
                await send(data, key, replace=True, lease_s=0)

    async def check(self) -> None:
        for key, data in self._files():
            if await self._read(key) != data:
                raise Broken(f"{key} is not there after an import that has ended")

    async def _read(self, key: str) -> bytes | None:
        held = await self.turn.process.holder(key)
        return None if held is None else await self.turn.process.read(held)


class _Backup(Chore):
    """Metadata, and the contents that no earlier backup has."""

    async def act(self) -> None:
        process = self.turn.process
        async with self.turn.machine.backups(process.points) as (target, runtime):
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

    async def check(self) -> None:
        async with self.turn.machine.backups(self.turn.process.points) as (target, runtime):
            verification = VerifyBackup(
                runtime.hashers, target, clock=runtime.clock, watcher=_Nobody(), jobs=1
            )
            manifest = await target.manifest(None)
            damages = [str(damage) async for damage in verification.run(manifest)]
        if damages:
            raise Broken(f"a backup that had ended is damaged: {damages}")
        owed = len(self.turn.machine.world.owed)
        if manifest.records["objects"] < owed:
            raise Broken(f"a backup has {manifest.records} of {owed} objects")


class _Restore(Chore):
    """Where the database was lost: one blob is still placed, one is half there, and one is gone."""

    _begun = False

    async def prepare(self) -> None:
        machine, process = self.turn.machine, self.turn.process
        half = await process.upload(b"half " + self.turn.data, "half")
        lost = await process.upload(b"lost " + self.turn.data, "lost")
        await _Backup(self.turn).act()
        self._named = dict(machine.world.owed)
        await machine.lose_database()
        self._path(half).write_bytes(self.turn.data[: len(self.turn.data) // 2])
        self._path(lost).unlink()
        # Until the restore has ended nobody is told that anything is there.
        machine.world.owed.clear()
        self.turn.process = await machine.world.process("restoring")

    def _path(self, object_id: ObjectId) -> Path:
        name = make_content(self._named[object_id]).content_hash.hex
        return self.turn.machine.world.root / "hot" / name[:2] / name[2:4] / name

    async def act(self) -> None:
        process, begun = self.turn.process, self._begun
        self._begun = True
        async with self.turn.machine.backups(process.points) as (target, runtime):
            restoring = RestoreBackup(
                process.metadata,
                process.blobs,
                runtime.hashers,
                target,
                clock=runtime.clock,
                watcher=_Nobody(),
                jobs=1,
            )
            try:
                report = await restoring.run(await target.manifest(None))
            except InvalidState as error:
                if begun and "a restore has ended here" in error.detail:
                    return  # it died after its last word to the database, and before that to us
                raise
        if report.missing or not report.ended:
            raise Broken(f"a restore has ended with {report}")

    async def between(self) -> None:
        """A collector may come: it takes nothing that the next attempt cannot do without."""
        if self.turn.chance.random() < 0.5:
            report = await (await self.turn.machine.world.process("collecting")).collect()
            if report.errors:
                raise Broken(f"a collection beside half a restore: {report}")

    async def check(self) -> None:
        """All that the backup names, for whoever reads what is owed; and the backup itself."""
        self.turn.machine.world.owed.update(self._named)
        await _Backup(self.turn).check()


CHORES: dict[str, type[Chore]] = {"import": _Import, "backup": _Backup, "restore": _Restore}
