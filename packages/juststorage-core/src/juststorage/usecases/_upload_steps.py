"""UploadSteps: what an upload does in the same way whether its bytes come at once or in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import anyio

from juststorage.domain import ContentHash, StorageClass
from juststorage.errors import Invalid, StorageFull, TooLarge, Unavailable, UnsupportedOperation
from juststorage.ports import (
    BlobStore,
    Committed,
    Hasher,
    Lease,
    MetadataStore,
    UploadIntent,
)
from juststorage.usecases._lost_leases import lost_lease_first
from juststorage.usecases._receive import Digests, UploadLimits

__all__ = ["UploadSteps", "has_room"]


class UploadSteps:
    """Refusals before the first byte, and the ends of an upload."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        algorithm: str,
        limits: UploadLimits,
    ) -> None:
        self._objects = metadata.objects
        self._blobs = blobs
        self._hashers = hashers
        self._algorithm = algorithm
        self._limits = limits

    def store(self, storage_class: StorageClass) -> BlobStore:
        """Where the bytes of this class go.

        Raises:
            Invalid: The class is not offered here.
        """
        store = self._blobs.get(storage_class)
        if store is None:
            raise Invalid(f"storage_class {storage_class} is not offered here")
        return store

    def digests(self, expected: Sequence[ContentHash]) -> Digests:
        """Nothing hashed yet.

        Raises:
            Invalid: A digest was announced that no hasher here can compute.
        """
        states = {self._algorithm: self._hashers[self._algorithm].new()}
        for announced in expected:
            if announced.algorithm not in self._hashers:
                raise Invalid(f"no hasher for {announced.algorithm} is installed here")
            if announced.algorithm not in states:
                states[announced.algorithm] = self._hashers[announced.algorithm].new()
        return Digests(states, expected)

    async def check_room(self, store: BlobStore, size_bytes: int | None) -> None:
        """Refuse a body that is too large, or has no room, by the size that was announced, if any.

        Raises:
            TooLarge, StorageFull: See above.
        """
        if size_bytes is not None and size_bytes > self._limits.bytes_max:
            raise TooLarge(f"the body is over {self._limits.bytes_max} bytes")
        if not await has_room(store, size_bytes or 0):
            raise StorageFull("there is not enough free space for this body")

    def lost_lease_first(self, lease: Lease) -> AbstractAsyncContextManager[None]:
        """See `lost_lease_first`."""
        return lost_lease_first(self._objects, lease, lease_s=self._limits.lease_s)

    async def commit(self, lease: Lease, locator: str) -> Committed:
        """Commit, or find out whether that has happened.

        Raises:
            PreconditionFailed, UploadExpired: It did not, and will not.
            Unavailable: It did not happen, or nobody can tell.
        """
        try:
            return await self._objects.commit(lease, locator)
        except Unavailable:
            return await self.look_up(lease.intent)

    async def look_up(self, intent: UploadIntent) -> Committed:
        """The outcome of a commit whose answer was lost: never commit twice, look (R17).

        Raises:
            Unavailable: It did not happen, or nobody can tell.
        """
        found = await self._objects.find(intent.new.tenant_id, intent.new.id)
        if found is None:
            raise Unavailable("the metadata store did not confirm the upload")
        return Committed(found)

    async def abort(self, lease: Lease) -> None:
        """Give back what the upload holds. Where even that fails, the lease runs out."""
        with anyio.CancelScope(shield=True):
            try:
                await self._objects.abort(lease)
            except (StorageFull, Unavailable):
                return


async def has_room(store: BlobStore, size_bytes: int) -> bool:
    """Whether the store takes a body of this size; True of one that cannot tell."""
    try:
        space = await store.space()
    except UnsupportedOperation:
        return True
    # An empty body needs room as well: for its name.
    return space is None or (space.free_bytes > 0 and space.free_bytes >= size_bytes)
