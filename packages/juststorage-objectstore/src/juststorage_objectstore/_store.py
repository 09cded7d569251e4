"""The blob store: generations in a bucket."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio

from juststorage.domain import ContentHash, Locator, ObjectId, StorageClass
from juststorage.errors import JustStorageError, NotFound, Unavailable
from juststorage.ports import (
    BlobReader,
    BlobStore,
    Clock,
    PlacedBlob,
    Space,
    StagedBlob,
    StagedEntry,
)
from juststorage_objectstore import _names
from juststorage_objectstore._bucket import Bucket
from juststorage_objectstore._errors import NoBucket, Refused
from juststorage_objectstore._multiparts import Multiparts
from juststorage_objectstore._names import is_locator
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore._reader import open_reader
from juststorage_objectstore._staged import ObjectStagedBlob, confirm

__all__ = ["ObjectBlobStore"]

_AT_ONCE: Final = 16
"""Small requests under way at once for one call."""

_BATCH: Final = 1000
"""Deletes in one request: S3's limit."""

_WRITE_PROBE_S: Final = 60.0
"""A ping writes when nothing else was written for as long: what was written since has proved it,
and in a bucket that keeps versions every write of a probe stays."""

_PROBE: Final = b"JustStorage"


class ObjectBlobStore(BlobStore):
    """Blobs of one storage class. Opened by `open_store`."""

    def __init__(
        self,
        bucket: Bucket,
        multiparts: Multiparts | None,
        options: ObjectStoreOptions,
        storage_class: StorageClass,
        clock: Clock,
    ) -> None:
        self._bucket = bucket
        self._multiparts = multiparts
        self._options = options
        self._class = storage_class
        self._clock = clock
        self._in_memory: dict[Locator, ObjectStagedBlob] = {}
        self._wrote_at: float | None = None

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        staged = ObjectStagedBlob(
            self._bucket,
            _names.new_locator(self._class, upload_id),
            upload_id,
            part_bytes=self._options.part_bytes,
            parts_at_once=self._options.parts_at_once,
            clock=self._clock,
            leaves_memory=self._leaves_memory,
        )
        self._in_memory[staged.locator] = staged
        return staged

    def _leaves_memory(self, staged: ObjectStagedBlob) -> None:
        self._in_memory.pop(staged.locator, None)

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        assert isinstance(staged, ObjectStagedBlob), "staged comes from this store"
        locator = await staged.place()
        self._wrote_at = self._clock.monotonic()
        return locator

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        if len(data) > self._options.part_bytes:
            return await super().put(upload_id, content_hash, data)
        locator = _names.new_locator(self._class, upload_id)
        await confirm(
            self._bucket, locator, len(data), lambda: self._bucket.put(locator, bytes(data))
        )
        self._wrote_at = self._clock.monotonic()
        return locator

    async def open(self, locator: Locator) -> BlobReader:
        if not is_locator(locator):
            raise NotFound("there is no such blob")
        return await open_reader(self._bucket, locator, retries=self._options.retries)

    async def stat(self, locator: Locator) -> int | None:
        return await self._bucket.size(locator) if is_locator(locator) else None

    async def sizes(self, locators: Sequence[Locator]) -> dict[Locator, int | None]:
        found: dict[Locator, int | None] = {}
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def ask(locator: Locator) -> None:
            async with limit:
                found[locator] = await self.stat(locator)

        try:
            async with anyio.create_task_group() as tasks:
                for locator in dict.fromkeys(locators):
                    tasks.start_soon(ask, locator)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        return found

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        failures: dict[Locator, JustStorageError] = {}
        wanted = [each for each in dict.fromkeys(locators) if is_locator(each)]
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            try:
                await self._bucket.delete(batch)
            except (NoBucket, Refused) as error:
                failures |= dict.fromkeys(batch, error)
            except JustStorageError:
                # Which of them it was, only one at a time tells.
                failures |= await self._remove_each(batch)
        return failures

    async def _remove_each(self, locators: Sequence[Locator]) -> dict[Locator, JustStorageError]:
        failures: dict[Locator, JustStorageError] = {}

        async def delete(locator: Locator) -> None:
            try:
                await self._bucket.delete([locator])
            except JustStorageError as error:
                failures[locator] = error

        for start in range(0, len(locators), _AT_ONCE):
            turn = locators[start : start + _AT_ONCE]
            async with anyio.create_task_group() as tasks:
                for locator in turn:
                    tasks.start_soon(delete, locator)
            if all(locator in failures for locator in turn):
                # The store is away. The others would take as long, each, to find that out again.
                rest = locators[start + len(turn) :]
                return failures | dict.fromkeys(rest, failures[turn[0]])
        return failures

    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        age = timedelta(seconds=older_than_s)
        entries = self._held(self._clock.now() - age, after)
        if self._multiparts is not None:
            # The store says by its own clock when an upload began.
            until = datetime.now(UTC) - age
            prefix = _names.blobs_prefix(self._class)
            async for each in self._multiparts.under(prefix):
                upload_id = _names.upload_of(each.locator)
                entry = _names.entry_of(each.locator, each.upload)
                if (
                    upload_id is None
                    or each.since > until
                    or (after is not None and entry <= after)
                ):
                    continue
                entries.append(StagedEntry(upload_id, entry))
                if len(entries) >= 2 * limit:
                    entries = heapq.nsmallest(limit, entries, key=_entry)
        return heapq.nsmallest(limit, entries, key=_entry)

    def _held(self, until: datetime, after: str | None) -> list[StagedEntry]:
        """What this process holds in memory. That of others goes when they do."""
        return [
            StagedEntry(staged.upload_id, locator)
            for locator, staged in sorted(self._in_memory.items())
            if staged.written_at <= until and (after is None or locator > after)
        ]

    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        problem: JustStorageError | None = None
        for entry in entries:
            parts = _names.split_entry(entry.entry)
            if parts is None:
                continue
            locator, multipart = parts
            try:
                if multipart and self._multiparts is not None:
                    await self._multiparts.abort(locator, multipart)
                elif not multipart and (held := self._in_memory.get(locator)) is not None:
                    held.discard()
            except JustStorageError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        found: list[PlacedBlob] = []
        prefix = _names.blobs_prefix(self._class)
        async for page in self._bucket.listed(prefix, after=after, page=limit):
            for name, size_bytes in page:
                upload_id = _names.upload_of(name)
                if upload_id is not None:
                    found.append(PlacedBlob(name, size_bytes, upload_id=upload_id))
            if len(found) >= limit:
                break
        return found[:limit]

    async def space(self) -> Space | None:
        return None

    async def ping(self) -> None:
        now = self._clock.monotonic()
        if self._wrote_at is None or now - self._wrote_at >= _WRITE_PROBE_S:
            await self.probe()
        elif not await self._has_probe():
            # Somebody tidied up: prove it the other way.
            await self.probe()

    async def probe(self) -> None:
        """Write, and read what was written."""
        await self._bucket.put(_names.probe_name(self._class), _PROBE)
        if not await self._has_probe():
            raise Unavailable("the object store does not have what it was given")
        self._wrote_at = self._clock.monotonic()

    async def _has_probe(self) -> bool:
        return await self._bucket.size(_names.probe_name(self._class)) == len(_PROBE)


def _entry(staged: StagedEntry) -> str:
    return staged.entry


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
