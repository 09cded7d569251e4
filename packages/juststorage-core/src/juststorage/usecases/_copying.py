"""Copying: the bytes of an object, placed once more, verified on the way.

What is read is hashed while it is written, and gets its final name only if the hash is the one that
the object has: damage is found here, and never copied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio

from juststorage.domain import Locator, StorageClass, StoredObject
from juststorage.errors import (
    Corrupt,
    DigestMismatch,
    Invalid,
    StorageFull,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.ports import BlobStore, Clock, Content, Hasher, Lease, MetadataStore, Reservation
from juststorage.usecases._download import DownloadObject
from juststorage.usecases._lost_leases import lost_lease_first
from juststorage.usecases._receive import Digests, UploadLimits, receive

__all__ = ["BlobCopier", "content_of"]

_FOREVER_S: Final = float("inf")
"""No client is waited for: the volume that is read from has no minimum rate and may stand still."""


def content_of(stored: StoredObject) -> Content:
    """The content of a COMMITTED object."""
    assert stored.content_hash is not None and stored.size_bytes is not None
    return Content(stored.content_hash, stored.size_bytes)


class BlobCopier:
    """Places a verified copy of an object's bytes where a reservation wants them.

    Cost: every byte is read, hashed and written once, in bounded memory; one file sync.

    Args:
        metadata: Where objects are recorded.
        blobs: The stores by storage class.
        hashers: By the algorithm that they are.
        clock: Tells when a lease has to be renewed.
        limits: The lease of a copy is that of an upload.
        download: Opens what is copied; one of its own unless given.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        clock: Clock,
        limits: UploadLimits,
        download: DownloadObject | None = None,
    ) -> None:
        self._objects = metadata.objects
        self._blobs = blobs
        self._hashers = hashers
        self._clock = clock
        self._limits = limits
        self._download = download or DownloadObject(metadata, blobs, hashers)

    @property
    def lease_s(self) -> float:
        """Seconds after which a copy that shows no life is taken for dead."""
        return self._limits.lease_s

    async def check_room(self, storage_class: StorageClass, content: Content) -> None:
        """Refuse early what has no place to go.

        Raises:
            Invalid: The class is not offered here.
            StorageFull: There is not enough free space.
        """
        try:
            space = await self._store(storage_class).space()
        except UnsupportedOperation:
            return
        if space is not None and space.free_bytes < content.size_bytes:
            raise StorageFull("there is not enough free space for a copy")

    def require(self, storage_class: StorageClass) -> None:
        """Refuse a class that is not offered here.

        Raises:
            Invalid: It is not.
        """
        self._store(storage_class)

    async def place(self, source: StoredObject, reservation: Reservation) -> Locator:
        """Where the reserved content is durable, once it is; copied if it was nowhere yet.

        Raises:
            NotFound: The source was deleted meanwhile, and its bytes are gone.
            Corrupt: The source's bytes are not what its hash says.
            BlobMissing, Unavailable, StorageFull: From the stores.
            UploadExpired: The lease was lost.

        Cancellation: discards what was staged.
        """
        if reservation.locator is not None:
            return reservation.locator
        lease = reservation.lease
        content = content_of(source)
        store = self._store(lease.object.storage_class)
        hasher = self._hashers.get(content.content_hash.algorithm)
        if hasher is None:
            raise Unavailable(f"no hasher for {content.content_hash.algorithm} is installed here")
        digests = Digests({content.content_hash.algorithm: hasher.new()}, [content.content_hash])
        async with (
            await self._download.open(source) as reader,
            await store.stage(lease.object.id) as staged,
        ):
            try:
                await receive(
                    reader.chunks(0, content.size_bytes),
                    staged,
                    digests,
                    limits=UploadLimits(
                        bytes_max=content.size_bytes,
                        lease_s=self._limits.lease_s,
                        idle_s=_FOREVER_S,
                        rate_min_bytes_s=0,
                    ),
                    clock=self._clock,
                    renew=lambda: self._objects.renew(lease, lease_s=self._limits.lease_s),
                )
                digests.finish(content.content_hash.algorithm)
            except DigestMismatch:
                await self._download.damaged(source, "hash")
                raise Corrupt("the stored bytes do not have the recorded content hash") from None
            except Corrupt:
                await self._download.damaged(source, "unreadable")
                raise
            await staged.finish()
            async with lost_lease_first(self._objects, lease, lease_s=self._limits.lease_s):
                locator = await store.place(staged, content.content_hash)
        return locator

    @asynccontextmanager
    async def aborted_unless_done(self, lease: Lease) -> AsyncIterator[None]:
        """Give back what a copy holds when it fails. Where even that fails, the lease runs out."""
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                with suppress(StorageFull, Unavailable):
                    await self._objects.abort(lease)
            raise

    def _store(self, storage_class: StorageClass) -> BlobStore:
        store = self._blobs.get(storage_class)
        if store is None:
            raise Invalid(f"storage_class {storage_class} is not offered here")
        return store
