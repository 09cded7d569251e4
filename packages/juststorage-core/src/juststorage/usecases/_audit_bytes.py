"""What an audit does with bytes: look at them, read them, and bring them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anyio.to_thread

from juststorage.domain import Blob, BlobKey, ContentHash, Locator, ObjectId, StorageClass
from juststorage.errors import (
    Corrupt,
    JustStorageError,
    Misconfigured,
    NotFound,
    UnsupportedOperation,
)
from juststorage.ports import BlobStore, Clock, Hasher

__all__ = ["BytesAudit"]

_INLINE_BYTES_MAX: Final = 65_536
"""Hashing this much takes less time than the way to a thread and back."""


class BytesAudit:
    """The bytes of one service, class by class.

    Args:
        bytes_s: Bytes per second that are read at most; 0 for no limit.
    """

    def __init__(
        self,
        stores: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        clock: Clock,
        *,
        bytes_s: int,
    ) -> None:
        self._stores = stores
        self._hashers = hashers
        self._clock = clock
        self._bytes_s = bytes_s

    async def suspects(self, rows: Sequence[Blob]) -> list[Blob]:
        """Those of the stored rows whose bytes are missing or have another size, at a glance.

        Raises:
            Misconfigured: There are rows of a class that no store is configured for: whether their
                bytes are there cannot be told.
        """
        stored = [row for row in rows if row.stored_at is not None]
        found: list[Blob] = []
        for storage_class in {row.key.storage_class for row in rows}:
            store = self._stores.get(storage_class)
            if store is None:
                raise Misconfigured(
                    f"there are {storage_class.value} blobs, and blobs.{storage_class.value} is"
                    " not configured"
                )
            mine = {
                row.locator: row
                for row in stored
                if row.key.storage_class is storage_class and row.locator is not None
            }
            sizes = await store.sizes(list(mine))
            found += [row for place, row in mine.items() if sizes.get(place) != row.size_bytes]
        return found

    async def wrong(self, row: Blob, *, deep: bool) -> str | None:
        """What is wrong with the bytes of a row, in a few words, or None."""
        place = self._place(row)
        if place is None:
            return "its bytes are missing"
        store = self._stores[row.key.storage_class]
        size = await store.stat(place)
        if size is None:
            return "its bytes are missing"
        if size != row.size_bytes:
            return f"it has {size} bytes instead of {row.size_bytes}"
        try:
            if deep and not await self._has_its_hash(store, place, row.key):
                return "its bytes do not have its hash"
        except Corrupt:
            return "its bytes cannot be read"
        return None

    async def restored(self, row: Blob) -> bool:
        """Whether its missing bytes came back from the trash.

        Wrong bytes in their place stay: they may be all that a person can recover.
        """
        place = self._place(row)
        if place is None:
            return False
        store = self._stores[row.key.storage_class]
        if await store.stat(place) is not None:
            return False
        try:
            return await store.restore(place)
        except UnsupportedOperation:
            return False

    async def placed_anew(self, row: Blob) -> Locator | None:
        """Place a copy of bytes that nobody has confirmed, durably; None where they are wrong.

        They are read whole, whatever the audit's depth, and written as by an upload: who placed
        them may have died before syncing them.
        """
        if await self.wrong(row, deep=True) is not None:
            return None
        place = self._place(row)
        assert place is not None
        store = self._stores[row.key.storage_class]
        try:
            async with (
                await store.open(place) as reader,
                await store.stage(ObjectId.new()) as staged,
            ):
                async for part in reader.chunks(0, reader.size_bytes):
                    await staged.write(part)
                await staged.finish()
                return await store.place(staged, row.key.content_hash)
        except JustStorageError:
            return None  # no room, or removed under our hands; the next audit tries again

    def _place(self, row: Blob) -> Locator | None:
        store = self._stores[row.key.storage_class]
        return row.locator or store.locator_of(row.key.content_hash)

    async def _has_its_hash(self, store: BlobStore, locator: Locator, key: BlobKey) -> bool:
        hasher = self._hashers.get(key.content_hash.algorithm)
        if hasher is None:
            return True  # named by a hasher that is not installed here
        state, started, read = hasher.new(), self._clock.monotonic(), 0
        try:
            async with await store.open(locator) as reader:
                async for part in reader.chunks(0, reader.size_bytes):
                    if len(part) <= _INLINE_BYTES_MAX:
                        state.update(part)
                    else:
                        await anyio.to_thread.run_sync(state.update, part)
                    read += len(part)
                    await self._keep_rate(read, started)
        except NotFound:
            return False
        return ContentHash.of(hasher.algorithm, state.digest()) == key.content_hash

    async def _keep_rate(self, read: int, started: float) -> None:
        if self._bytes_s > 0:
            due = read / self._bytes_s - (self._clock.monotonic() - started)
            if due > 0:
                await self._clock.sleep(due)
