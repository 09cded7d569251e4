"""ChangeObject: what is said about an object, and the class of storage that keeps its bytes.

A change of the storage class moves the bytes, and goes like an upload: the new copy is reserved,
placed, and taken in one transaction together with every other change that was asked for. Until then
the object is as it was; afterwards the collector takes the old copy.

    begin      an upload without a key, in the other class       (transaction)
    reserve    it counts on the blob there                       (transaction)
    place      a verified copy, unless the bytes are there       (blob store)
    take       the object counts on the copy, and no more on     (transaction)
               the old one; the upload ends

A process may die between any two steps: the upload's lease runs out, and the reaper and the
collector find what it left.
"""

from __future__ import annotations

from collections.abc import Collection

import anyio

from juststorage.domain import (
    METADATA_BYTES_MAX,
    UNCHANGED,
    UNCONDITIONAL,
    Change,
    Conditions,
    NamespacePattern,
    NewObject,
    ObjectId,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.errors import InvalidMetadata, PreconditionFailed, Unavailable
from juststorage.ports import Lease, MetadataStore, UploadIntent
from juststorage.usecases._copying import BlobCopier, content_of
from juststorage.usecases._find import FindObject

__all__ = ["ChangeObject"]


class ChangeObject:
    """Changes a COMMITTED object in one transaction, after its bytes were moved where asked for.

    Cost: one look-up and one transaction; a move adds two transactions and a copy of the bytes.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        copier: BlobCopier,
        *,
        metadata_bytes_max: int = METADATA_BYTES_MAX,
    ) -> None:
        self._objects = metadata.objects
        self._find = FindObject(metadata)
        self._copier = copier
        self._metadata_bytes_max = metadata_bytes_max

    async def by_id(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        change: Change,
        *,
        storage_class: StorageClass | None = None,
        conditions: Conditions = UNCONDITIONAL,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> StoredObject:
        """Change the object with this id; the object as it is then.

        A change of nothing leaves `updated_at` alone.

        Raises:
            NotFound: As `FindObject.by_id`.
            PreconditionFailed: The conditions do not hold, now or in the transaction.
            KeyConflict: Another object holds the new key.
            InvalidMetadata: The merged metadata breaks a rule.
            Invalid: The storage class is not offered here.
            StorageFull, Corrupt, BlobMissing, UploadExpired, Unavailable: From moving the bytes;
                the object is as it was.

        Cancellation: before the last transaction it leaves the object as it was; afterwards the
        change has happened.
        """
        found = await self._find.by_id(tenant_id, object_id, namespaces=namespaces)
        if not conditions.hold_for(found.content_hash):
            raise PreconditionFailed("the precondition does not hold")
        merged = change.merged(found.metadata)
        # What is over a limit that was lowered since may shrink step by step.
        if self._metadata_bytes_max < len(merged.encoded) > len(found.metadata.encoded):
            raise InvalidMetadata(f"metadata is over {self._metadata_bytes_max} bytes")
        if storage_class is not None and storage_class is not found.storage_class:
            return await self._move(found, storage_class, change, conditions)
        if change == UNCHANGED:
            return found
        return await self._objects.update(tenant_id, object_id, change, conditions=conditions)

    async def _move(
        self,
        found: StoredObject,
        storage_class: StorageClass,
        change: Change,
        conditions: Conditions,
    ) -> StoredObject:
        content = content_of(found)
        await self._copier.check_room(storage_class, content)
        upload = NewObject(
            id=ObjectId.new(),
            namespace=found.namespace,
            tenant_id=found.tenant_id,
            storage_class=storage_class,
        )
        lease = await self._objects.begin(UploadIntent(new=upload), lease_s=self._copier.lease_s)
        async with self._copier.aborted_unless_done(lease):
            reservation = await self._objects.reserve(lease, content)
            locator = await self._copier.place(found, reservation)
            with anyio.CancelScope(shield=True):
                moved = await self._take(
                    reservation.lease, locator, found, change=change, conditions=conditions
                )
        return moved

    async def _take(
        self,
        lease: Lease,
        locator: str,
        found: StoredObject,
        *,
        change: Change,
        conditions: Conditions,
    ) -> StoredObject:
        try:
            return await self._objects.commit_move(
                lease, locator, object_id=found.id, change=change, conditions=conditions
            )
        except Unavailable:
            # The outcome is unknown: look, never do it twice (R17).
            current = await self._objects.find(found.tenant_id, found.id)
            wanted = lease.object.storage_class
            if current is None or current.storage_class is not wanted:
                raise
            return current
