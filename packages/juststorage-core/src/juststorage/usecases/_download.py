"""DownloadObject: from an object to its bytes, never to other bytes."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final, Literal, TypeAlias

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
from juststorage.usecases._verified import VerifiedContents
from juststorage.usecases._whole import WrongHash, verified_pieces

__all__ = ["DownloadObject", "ReadDamage"]

ReadDamage: TypeAlias = Literal["missing", "size", "hash", "unreadable"]
"""What reading may find: nothing, another length, other bytes, or bytes that the medium does not
give back."""

_SMALL_BYTES_MAX: Final = 64 * 1024
"""Bodies up to this are read and hashed before anything of them is sent: 4 KiB cost 4 us, 64 KiB
45 us, which is what may be spent on the event loop."""

_log: Final = logging.getLogger("juststorage.downloads")


class DownloadObject:
    """Opens the blob of a COMMITTED object.

    The blob is open before the first byte of an answer is sent: an open blob survives its removal,
    and a missing one can still become an error (R06). A whole content is never complete before it
    is known to have its hash (I10); of a part that cannot be known.

    Args:
        metadata: Where objects are recorded.
        blobs: The stores by storage class.
        hashers: By the algorithm that they are. What was named by none of them is sent as it is.
        cache_bytes: Sum of the small contents that are kept in memory once verified; 0 for none.
        verified: Large contents that need not be hashed again; None to hash each time.
        on_damage: Told of each finding, which is logged and distrusted already.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        cache_bytes: int = 0,
        verified: VerifiedContents | None = None,
        on_damage: Callable[[StorageClass, ReadDamage], None] | None = None,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._blobs = blobs
        self._hashers = hashers
        self._cache = ContentCache(cache_bytes)
        self._verified = verified or VerifiedContents(lambda: 0.0, for_s=0)
        self._on_damage = on_damage

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
            await self.damaged(stored, "size")
            raise Corrupt("the stored bytes do not have the recorded size")
        return reader

    async def small(self, reader: BlobReader, stored: StoredObject) -> bytes | None:
        """The whole content of a small object, verified; None for a large one.

        Raises:
            Corrupt: The bytes do not have the object's content hash, or cannot be read.
            Unavailable: The store failed.
        """
        size = reader.size_bytes
        if size > _SMALL_BYTES_MAX:
            return None
        try:
            data = reader.read_now(0, size)
            if data is None:
                data = b"".join([piece async for piece in reader.chunks(0, size)])
        except Corrupt:
            await self.damaged(stored, "unreadable")
            raise
        assert stored.content_hash is not None
        hasher = self._hashers.get(stored.content_hash.algorithm)
        if hasher is not None:
            if hasher.hash(data) != stored.content_hash:
                await self.damaged(stored, "hash")
                raise Corrupt("the stored bytes do not have the recorded content hash")
            self._cache.add(stored.content_hash, data)
        return data

    def pieces(self, reader: BlobReader, stored: StoredObject) -> AsyncGenerator[bytes, None]:
        """The whole content of an object in pieces; the caller closes the generator.

        The last piece comes once all are known to be right, so who sends them never completes a
        wrong content.

        Raises (while iterating):
            Corrupt: The bytes do not have the object's content hash, or cannot be read.
            Unavailable: The store failed.
        """

        async def note(error: Corrupt) -> None:
            await self.damaged(stored, "hash" if isinstance(error, WrongHash) else "unreadable")

        key = _key(stored)
        hasher = self._hashers.get(key.content_hash.algorithm)
        return verified_pieces(reader, key, hasher, self._verified, on_damage=note)

    def read_in_part(self, reader: BlobReader, stored: StoredObject) -> None:
        """To be told after parts were read: what that brought into memory nobody has hashed."""
        if not reader.from_memory:
            self._verified.forget(_key(stored))

    async def damaged(self, stored: StoredObject, damage: ReadDamage) -> None:
        """Note what a read found, and let the next upload of these bytes place them again.

        Best effort: the reader that found the damage gets its error either way.
        """
        key = _key(stored)
        _log.error(
            "damage_found",
            extra={
                "damage": damage,
                "content_hash": str(key.content_hash),
                "storage_class": key.storage_class.value,
                "object_id": str(stored.id),
            },
        )
        if self._on_damage is not None:
            self._on_damage(key.storage_class, damage)
        try:
            await self._rows.distrust(key)
        except Unavailable:
            return

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
            await self.damaged(current, "missing")
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


def _key(stored: StoredObject) -> BlobKey:
    assert stored.content_hash is not None
    return BlobKey(stored.content_hash, stored.storage_class)
