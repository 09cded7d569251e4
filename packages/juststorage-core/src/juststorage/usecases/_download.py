"""DownloadObject: from an object to its bytes, never to other bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from juststorage.domain import BlobKey, StorageClass, StoredObject
from juststorage.errors import (
    BlobMissing,
    Corrupt,
    NotFound,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.ports import BlobReader, BlobStore, Hasher, MetadataStore
from juststorage.usecases._content_cache import ContentCache

__all__ = ["DownloadObject"]

_VERIFIED_BYTES_MAX: Final = 64 * 1024
"""Bodies up to this are hashed again before they are sent: 4 KiB cost 4 us, 64 KiB 45 us, which is
what may be spent on the event loop; larger ones are the auditor's business."""


class DownloadObject:
    """Opens the blob of a COMMITTED object.

    The blob is open before the first byte of an answer is sent: an open blob survives its removal,
    and a missing one can still become an error (R06).

    Args:
        metadata: Where objects are recorded.
        blobs: The stores by storage class.
        hashers: By the algorithm that they are.
        cache_bytes: Sum of the small contents that are kept in memory once verified; 0 for none.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        cache_bytes: int = 0,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._blobs = blobs
        self._hashers = hashers
        self._cache = ContentCache(cache_bytes)

    def remembered(self, stored: StoredObject) -> bytes | None:
        """The whole content of a small object, if it was verified lately; nothing is opened."""
        assert stored.content_hash is not None
        data = self._cache.get(stored.content_hash)
        # Sizes differ where a row is wrong; then let `open` find out.
        return data if data is not None and len(data) == stored.size_bytes else None

    async def open(self, stored: StoredObject) -> BlobReader:
        """A reader of the object's bytes; the caller closes it.

        Raises:
            NotFound: The object was deleted meanwhile.
            BlobMissing: The bytes are gone although the object is not.
            Corrupt: The bytes have another length than was recorded.
            Unavailable: The storage class is not configured, or its store cannot answer.
        """
        store = self._blobs.get(stored.storage_class)
        if store is None:
            raise Unavailable(f"the storage class {stored.storage_class} is not configured")
        if stored.locator is None:
            raise BlobMissing("the object's bytes are missing")  # and were when it was restored
        try:
            reader = await store.open(stored.locator)
        except NotFound:
            reader = await self._open_again(stored)
        if reader.size_bytes != stored.size_bytes:
            await reader.aclose()
            await self.distrust(stored)
            raise Corrupt("the stored bytes do not have the recorded size")
        return reader

    def read_now(self, reader: BlobReader, stored: StoredObject) -> bytes | None:
        """The whole content of a small object, verified, if it can be had without waiting.

        Raises:
            Corrupt: The bytes do not have the object's content hash.
        """
        size = reader.size_bytes
        if size > _VERIFIED_BYTES_MAX:
            return None
        data = reader.read_now(0, size)
        if data is None:
            return None
        self._verify(data, stored)
        return data

    async def distrust(self, stored: StoredObject) -> None:
        """Let the next upload of these bytes place them again, instead of counting on damage.

        Best effort: the reader that found the damage gets its error either way.
        """
        assert stored.content_hash is not None
        try:
            await self._rows.distrust(BlobKey(stored.content_hash, stored.storage_class))
        except Unavailable:
            return

    def _verify(self, data: bytes, stored: StoredObject) -> None:
        assert stored.content_hash is not None
        hasher = self._hashers.get(stored.content_hash.algorithm)
        if hasher is None:
            return
        if hasher.hash(data) != stored.content_hash:
            raise Corrupt("the stored bytes do not have the recorded content hash")
        self._cache.add(stored.content_hash, data)

    async def _open_again(self, stored: StoredObject) -> BlobReader:
        """Find out why there was nothing: deleted or moved meanwhile, in the trash, or lost."""
        current = await self._objects.find(stored.tenant_id, stored.id)
        if current is None:
            raise NotFound("there is no such object")
        store = self._blobs.get(current.storage_class)
        if store is None or current.locator is None:
            raise BlobMissing("the object's bytes are missing")
        moved = (current.storage_class, current.locator) != (stored.storage_class, stored.locator)
        # Not moved: a collector woke up late, or a database was restored to an earlier time (R19,
        # R22). The trash outlives both.
        if not moved and not await self._restored(store, current.locator):
            await self.distrust(current)
            raise BlobMissing("the object's bytes are missing")
        try:
            return await store.open(current.locator)
        except NotFound:
            raise BlobMissing("the object's bytes are missing") from None

    @staticmethod
    async def _restored(store: BlobStore, locator: str) -> bool:
        try:
            return await store.restore(locator)
        except UnsupportedOperation:
            return False
