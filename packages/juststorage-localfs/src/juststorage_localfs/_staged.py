"""A streamed upload on its way in: a file in the staging directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError, Unavailable
from juststorage.ports import StagedBlob
from juststorage_localfs._errors import translated
from juststorage_localfs._jobs import Jobs
from juststorage_localfs._volume import Volume
from juststorage_localfs._writer import FileWriter

__all__ = ["ROOM_CHECK_BYTES", "LocalFSStagedBlob"]

ROOM_CHECK_BYTES: Final = 8 * 1024 * 1024
"""How much is written between two looks at the room that is left."""


class LocalFSStagedBlob(StagedBlob):
    """One staging file. The store makes it; one upload uses it, one call after another."""

    def __init__(self, volume: Volume, jobs: Jobs, upload_id: ObjectId) -> None:
        self.size_bytes = 0
        self._volume = volume
        self._jobs = jobs
        self._upload_id = upload_id
        self._name = ""
        self._fd = -1
        self._writer: FileWriter | None = None
        self._not_checked = 0

    async def create(self) -> None:
        """Make the file. After a failure or cancellation there is something to `aclose`."""
        await self._jobs.run(self._create)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._jobs.run(self._write, [data])

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        await self._jobs.run(self._write, parts)

    async def finish(self) -> None:
        await self._jobs.run(self._finish)

    async def place(self, content_hash: ContentHash) -> Locator:
        """Give the finished file its final name."""
        assert self._name and self._fd < 0, "place follows finish, once"
        return await self._jobs.run(self._place, content_hash)

    async def aclose(self) -> None:
        if self._name or self._fd >= 0:
            try:
                await self._jobs.run_to_the_end(self._discard)
            except Unavailable:
                self._close()  # of the closed store's volume, the sweeper finds the file

    def _create(self) -> None:
        self._volume.need_room(0)
        with translated():
            self._name, self._fd = self._volume.create(self._upload_id)
        self._writer = FileWriter(self._volume, self._fd)

    def _write(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        if self._writer is None:
            raise Unavailable("the staged bytes are closed")
        with self._discarding(), translated():
            for data in parts:
                self._writer.write(data)
                self.size_bytes += len(data)
                self._not_checked += len(data)
            if self._not_checked >= ROOM_CHECK_BYTES:
                self._not_checked = 0
                self._volume.need_room(0)

    def _finish(self) -> None:
        if self._writer is None:
            raise Unavailable("the staged bytes are closed")
        with self._discarding(), translated():
            self._writer.flush()
            self._volume.sync(self._fd)
        self._close()

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        """After a failure nobody can say which bytes are there, so none may follow."""
        try:
            yield
        except JustStorageError:
            self._discard()
            raise

    def _place(self, content_hash: ContentHash) -> Locator:
        locator = self._volume.place(self._name, content_hash)
        self._name = ""
        return locator

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                self._volume.ops.close(fd)

    def _discard(self) -> None:
        self._close()
        name, self._name = self._name, ""
        if name:
            self._volume.drop(name)
