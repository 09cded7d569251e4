"""The blob store: dictionaries with the promises of a volume, except that of surviving."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Final

from anyio.lowlevel import checkpoint

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError, NotFound, Unavailable, UploadInUse
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

__all__ = ["MemoryBlobStore"]

_CHUNK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class _Staging:
    upload_id: ObjectId
    written_at: datetime
    data: bytearray = field(default_factory=bytearray)
    kept_bytes: int = 0
    placed_as: ContentHash | None = None
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Trashed:
    blob: TrashedBlob
    data: bytes
    since: datetime


class _MemoryStagedBlob(StagedBlob):
    """A buffer that is also in the store's table, where a sweeper finds it."""

    def __init__(self, store: MemoryBlobStore, entry: str, staging: _Staging) -> None:
        self.store = store
        self.entry = entry
        self.size_bytes = 0
        self.finished = False
        self._staging = staging

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.finished, "written to after finish"
        await checkpoint()
        self._staging.data += data
        self._staging.written_at = self.store.clock.now()
        self.size_bytes = len(self._staging.data)

    async def finish(self) -> None:
        assert not self.finished, "finished twice"
        await checkpoint()
        self.finished = True

    async def aclose(self) -> None:
        self.store.staging.pop(self.entry, None)


class _MemoryResumableBlob(_MemoryStagedBlob, ResumableBlob):
    """A buffer that stays in the table; what was not kept of it goes when it is opened again."""

    def __init__(self, store: MemoryBlobStore, entry: str, staging: _Staging) -> None:
        super().__init__(store, entry, staging)
        del staging.data[staging.kept_bytes :]
        staging.is_open = True
        self.size_bytes = staging.kept_bytes
        self.placed_as = staging.placed_as

    async def read(self, start: int, length: int) -> bytes:
        assert not self.finished, "read after finish"
        await checkpoint()
        return bytes(self._staging.data[start : start + length])

    async def keep(self) -> None:
        await checkpoint()
        self._staging.kept_bytes = self.size_bytes

    async def finish(self) -> None:
        await super().finish()
        self._staging.kept_bytes = self.size_bytes

    def place(self, content_hash: ContentHash) -> bytes:
        """The bytes, which stay here until they are discarded."""
        if self.entry not in self.store.staging:
            raise Unavailable("the staged bytes were discarded")
        self._staging.placed_as = content_hash
        return bytes(self._staging.data)

    async def aclose(self) -> None:
        self._staging.is_open = False


class _MemoryReader(BlobReader):
    """Holds the bytes themselves, so their removal from the store is nothing to it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        assert start >= 0 and length >= 0 and start + length <= self.size_bytes
        for at in range(start, start + length, _CHUNK_BYTES):
            await checkpoint()
            yield self._data[at : min(at + _CHUNK_BYTES, start + length)]

    def read_now(self, start: int, length: int) -> bytes:
        assert start >= 0 and length >= 0 and start + length <= self.size_bytes
        return self._data[start : start + length]

    async def aclose(self) -> None:
        """Nothing to release: the bytes go with the last reference to them."""


class MemoryBlobStore(BlobStore):
    """See `BlobStore`. Nothing awaits between two changes of state, so no call sees half of one.

    A locator is the content hash's text: fixed names, and nothing that could be taken for a path.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.staging: dict[str, _Staging] = {}
        self._placed: dict[Locator, bytes] = {}
        self._trash: dict[str, _Trashed] = {}
        self._entries = count(1)

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        await checkpoint()
        entry = f"{upload_id}.{next(self._entries)}"
        staging = self.staging[entry] = _Staging(upload_id, self.clock.now())
        return _MemoryStagedBlob(self, entry, staging)

    async def begin_resumable(self, upload_id: ObjectId) -> None:
        await checkpoint()
        self.staging[_resumable(upload_id)] = _Staging(upload_id, self.clock.now())

    async def resume(self, upload_id: ObjectId) -> ResumableBlob:
        await checkpoint()
        entry = _resumable(upload_id)
        staging = self.staging.get(entry)
        if staging is None:
            raise NotFound("there is no such upload")
        if staging.is_open:
            raise UploadInUse("another request is bringing bytes to this upload", retry_after_s=1)
        return _MemoryResumableBlob(self, entry, staging)

    async def resumable_bytes(self, upload_id: ObjectId) -> int | None:
        await checkpoint()
        staging = self.staging.get(_resumable(upload_id))
        return None if staging is None else staging.kept_bytes

    async def discard_resumable(self, upload_id: ObjectId) -> None:
        await checkpoint()
        self.staging.pop(_resumable(upload_id), None)

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        assert isinstance(staged, _MemoryStagedBlob) and staged.store is self and staged.finished
        await checkpoint()
        if isinstance(staged, _MemoryResumableBlob):
            self._placed[str(content_hash)] = staged.place(content_hash)
            return str(content_hash)
        staging = self.staging.pop(staged.entry, None)
        if staging is None:
            raise Unavailable("the staged bytes were discarded")
        locator = str(content_hash)
        self._placed[locator] = bytes(staging.data)
        return locator

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        await checkpoint()
        locator = str(content_hash)
        self._placed[locator] = bytes(data)
        return locator

    def locator_of(self, content_hash: ContentHash) -> Locator | None:
        return str(content_hash)

    async def open(self, locator: Locator) -> BlobReader:
        await checkpoint()
        data = self._placed.get(locator)
        if data is None:
            raise NotFound("there is no such blob")
        return _MemoryReader(data)

    async def stat(self, locator: Locator) -> int | None:
        await checkpoint()
        data = self._placed.get(locator)
        return None if data is None else len(data)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        await checkpoint()
        for locator in locators:
            data = self._placed.pop(locator, None)
            if data is not None:
                entry = str(next(self._entries))
                blob = TrashedBlob(locator, ContentHash(locator), entry)
                self._trash[entry] = _Trashed(blob, data, self.clock.now())
        return {}

    async def restore(self, locator: Locator) -> bool:
        await checkpoint()
        if locator in self._placed:
            return True
        for entry, trashed in reversed(self._trash.items()):
            if trashed.blob.locator == locator:
                self._placed[locator] = self._trash.pop(entry).data
                return True
        return False

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        await checkpoint()
        until = self.clock.now() - timedelta(seconds=older_than_s)
        edge = 0 if after is None else int(after)
        old = (
            trashed.blob
            for entry, trashed in self._trash.items()
            if trashed.since <= until and int(entry) > edge
        )
        return list(islice(old, limit))

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        await checkpoint()
        for blob in trashed:
            self._trash.pop(blob.entry, None)

    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        await checkpoint()
        until = self.clock.now() - timedelta(seconds=older_than_s)
        old = (
            StagedEntry(staging.upload_id, entry)
            for entry, staging in sorted(self.staging.items())
            if staging.written_at <= until and (after is None or entry > after)
        )
        return list(islice(old, limit))

    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        await checkpoint()
        for entry in entries:
            self.staging.pop(entry.entry, None)

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        await checkpoint()
        locators = sorted(each for each in self._placed if after is None or each > after)[:limit]
        return [
            PlacedBlob(locator, len(self._placed[locator]), ContentHash(locator))
            for locator in locators
        ]

    async def space(self) -> Space | None:
        await checkpoint()
        return None

    async def ping(self) -> None:
        await checkpoint()


def _resumable(upload_id: ObjectId) -> str:
    return f"{upload_id}.resumable"
