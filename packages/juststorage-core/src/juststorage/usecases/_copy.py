"""CopyObject: a new object on bytes that are there already."""

from __future__ import annotations

from collections.abc import Collection

import anyio
import msgspec

from juststorage.domain import (
    UNCONDITIONAL,
    Conditions,
    IdempotencyKey,
    Namespace,
    NamespacePattern,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    StoredObject,
    TenantId,
    is_within,
)
from juststorage.errors import NotFound, Unavailable
from juststorage.ports import Committed, Lease, MetadataStore, Reservation, UploadIntent
from juststorage.usecases._copying import BlobCopier, content_of
from juststorage.usecases._find import FindObject
from juststorage.usecases._idempotent import FirstAnswers

__all__ = ["CopyObject", "CopyTarget"]


class CopyTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What the copy is to be; None for as the source is, but a key is never taken over."""

    namespace: Namespace | None = None
    key: ObjectKey | None = None
    storage_class: StorageClass | None = None


class CopyObject:
    """Makes an object with the content, the content type and the metadata of another.

    Cost within a storage class: one look-up, one transaction, no byte. Into the other class, or
    where a collector has taken the bytes meanwhile: as an upload.
    """

    def __init__(self, metadata: MetadataStore, copier: BlobCopier) -> None:
        self._objects = metadata.objects
        self._find = FindObject(metadata)
        self._first = FirstAnswers(metadata)
        self._copier = copier

    async def by_id(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        target: CopyTarget,
        *,
        conditions: Conditions = UNCONDITIONAL,
        namespaces: Collection[NamespacePattern] | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Committed:
        """Copy the object with this id, which the caller may see.

        Args:
            tenant_id: Whose it is, and whose the copy will be.
            object_id: The source.
            target: What the copy is to be.
            conditions: On what holds the copy's key.
            namespaces: Those that the caller may see.
            idempotency: The client's key for this request, which covers source and target.

        Raises:
            NotFound: As `FindObject.by_id`; also when it was deleted while it was copied.
            KeyConflict, PreconditionFailed: The key says no.
            IdempotencyMismatch, IdempotencyInFlight: The idempotency key says no.
            Invalid: The storage class is not offered here.
            StorageFull, Corrupt, BlobMissing, UploadExpired, Unavailable: From copying bytes.

        Cancellation: before its last transaction it leaves nothing; afterwards the copy is there.
        """
        first = await self._first.find(tenant_id, idempotency)
        if first is not None:
            # Whoever has sent the first request: what this caller may not see is not there.
            if not is_within(first.object.namespace, namespaces):
                raise NotFound("there is no such object")
            return first
        source = await self._find.by_id(tenant_id, object_id, namespaces=namespaces)
        content = content_of(source)
        new = NewObject(
            id=ObjectId.new(),
            namespace=source.namespace if target.namespace is None else target.namespace,
            tenant_id=tenant_id,
            key=target.key,
            storage_class=target.storage_class or source.storage_class,
            content_type=source.content_type,
            metadata=source.metadata,
        )
        self._copier.require(new.storage_class)
        intent = UploadIntent(new=new, conditions=conditions, idempotency=idempotency)
        with anyio.CancelScope(shield=True):
            begun = await self._begin(intent, source)
        if isinstance(begun, Committed):
            return begun
        async with self._copier.aborted_unless_done(begun.lease):
            if begun.locator is None:
                await self._copier.check_room(new.storage_class, content)
            locator = await self._copier.place(source, begun)
            with anyio.CancelScope(shield=True):
                committed = await self._commit(begun.lease, locator)
        return committed

    async def _begin(self, intent: UploadIntent, source: StoredObject) -> Reservation | Committed:
        try:
            return await self._objects.begin_reserved(
                intent, content_of(source), lease_s=self._copier.lease_s
            )
        except Unavailable:
            return await self._look_up(intent)

    async def _commit(self, lease: Lease, locator: str) -> Committed:
        try:
            return await self._objects.commit(lease, locator)
        except Unavailable:
            return await self._look_up(lease.intent)

    async def _look_up(self, intent: UploadIntent) -> Committed:
        """The outcome of a commit whose answer was lost: never commit twice, look (R17)."""
        found = await self._objects.find(intent.new.tenant_id, intent.new.id)
        if found is None:
            raise Unavailable("the metadata store did not confirm the copy")
        return Committed(found)
