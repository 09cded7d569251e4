"""LocalFSBlobStore: the port, over one volume."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Corrupt, JustStorageError, NotFound, Unavailable
from juststorage.plugins import Gatherer
from juststorage.ports import (
    BlobReader,
    BlobStore,
    Clock,
    PlacedBlob,
    ResumableBlob,
    Space,
    StagedBlob,
    StagedEntry,
    TrashedBlob,
)
from juststorage_localfs import _layout, _resumable, _trash, _walk
from juststorage_localfs._errors import translate
from juststorage_localfs._jobs import Jobs
from juststorage_localfs._layout import is_locator
from juststorage_localfs._puts import Put
from juststorage_localfs._reader import LocalFSReader
from juststorage_localfs._resumable import LocalFSResumableBlob
from juststorage_localfs._staged import LocalFSStagedBlob
from juststorage_localfs._volume import Volume

__all__ = ["LocalFSBlobStore"]

PING_TIMEOUT_S = 10.0
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class LocalFSBlobStore(BlobStore):
    """Blobs of one storage class under one root. Opened by `open_store`.

    Pieces of bodies are read in threads of their own: of 200 downloads that come from the disk, 400
    wait to be read at once, and whoever uploads would stand behind them at each of its steps.
    """

    def __init__(
        self, volume: Volume, jobs: Jobs, reads: Jobs, puts: Gatherer[Put, Locator], clock: Clock
    ) -> None:
        self._volume = volume
        self._jobs = jobs
        self._reads = reads
        self._puts = puts
        self._clock = clock
        self._probe: Future[None] | None = None

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        staged = LocalFSStagedBlob(self._volume, self._jobs, upload_id)
        try:
            await staged.create()
        except BaseException:
            await staged.aclose()
            raise
        return staged

    async def begin_resumable(self, upload_id: ObjectId) -> None:
        await self._jobs.run(_resumable.begin, self._volume, upload_id)

    async def resume(self, upload_id: ObjectId) -> ResumableBlob:
        resumed = LocalFSResumableBlob(self._volume, self._jobs, upload_id)
        try:
            await resumed.open()
        except BaseException:
            await resumed.aclose()
            raise
        return resumed

    async def resumable_bytes(self, upload_id: ObjectId) -> int | None:
        return await self._jobs.run(_resumable.kept_bytes, self._volume, upload_id)

    async def discard_resumable(self, upload_id: ObjectId) -> None:
        await self._jobs.run(_resumable.discard, self._volume, upload_id)

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        assert isinstance(staged, LocalFSStagedBlob | LocalFSResumableBlob), "it comes from here"
        return await staged.place(content_hash)

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        put = Put(upload_id, content_hash, data)
        try:
            return await self._puts.submit(put)
        except asyncio.CancelledError:
            await put.settle()
            raise

    def locator_of(self, content_hash: ContentHash) -> Locator | None:
        return _layout.locator_of(content_hash)

    async def open(self, locator: Locator) -> BlobReader:
        # Without a thread on purpose: with its directory in memory, this costs less than the way
        # to a thread and back does.
        volume = self._volume
        if not is_locator(locator):
            raise NotFound("there is no such blob")
        try:
            fd = volume.ops.open(locator, _OPEN, dir_fd=volume.root_fd)
        except FileNotFoundError:
            raise NotFound("there is no such blob") from None
        except OSError as error:
            raise translate(error) from error
        try:
            facts = volume.ops.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise Corrupt("what has the blob's name is not a file")
        except BaseException as error:
            volume.ops.close(fd)
            if isinstance(error, OSError):
                raise translate(error) from error
            raise
        path = f"{volume.root}/{locator}"
        return LocalFSReader(volume.ops, self._reads, fd, facts.st_size, path)

    async def stat(self, locator: Locator) -> int | None:
        if not is_locator(locator):
            return None
        return await self._jobs.run(self._volume.size, locator)

    async def sizes(self, locators: Sequence[Locator]) -> dict[Locator, int | None]:
        return await self._jobs.run(_walk.sizes, self._volume, locators)

    async def make_durable(self, locators: Sequence[Locator]) -> None:
        await self._jobs.run(self._volume.make_durable, locators)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        return await self._jobs.run(_trash.remove, self._volume, locators, self._clock.now())

    async def restore(self, locator: Locator) -> bool:
        return await self._jobs.run(_trash.restore, self._volume, locator)

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        return await self._jobs.run(
            _trash.trashed,
            self._volume,
            older_than_s=older_than_s,
            limit=limit,
            now=self._clock.now(),
            after=after,
        )

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        await self._jobs.run(_trash.purge, self._volume, trashed, self._clock.now())

    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        return await self._jobs.run(
            _walk.staged, self._volume, older_than_s=older_than_s, limit=limit, after=after
        )

    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        await self._jobs.run(_walk.discard, self._volume, entries)

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        return await self._jobs.run(_walk.placed, self._volume, after=after, limit=limit)

    async def space(self) -> Space | None:
        return await self._jobs.run(self._volume.space)

    async def ping(self) -> None:
        # A disk that hangs would take one thread more with every ping.
        if self._probe is not None and not self._probe.done():
            raise Unavailable("the volume has not answered yet")
        self._probe = self._jobs.submit(self._volume.probe)
        await self._jobs.wait(self._probe, timeout_s=PING_TIMEOUT_S)
