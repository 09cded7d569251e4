"""The object repository."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import msgspec
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from juststorage.domain import (
    UNCHANGED,
    UNCONDITIONAL,
    BlobKey,
    Change,
    Conditions,
    ContentHash,
    Locator,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    Page,
    Query,
    StoredObject,
    TenantId,
    is_within,
)
from juststorage.errors import (
    Corrupt,
    InvalidState,
    KeyConflict,
    NotFound,
    PreconditionFailed,
    UploadExpired,
)
from juststorage.plugins.memory._housekeeping import MemoryHousekeeping
from juststorage.plugins.memory._idempotency import check_claim, claim, keep_answer
from juststorage.plugins.memory._pages import page
from juststorage.plugins.memory._rows import ObjectRow
from juststorage.ports import (
    Committed,
    Content,
    Lease,
    Reservation,
    UploadIntent,
)

__all__ = ["MemoryObjectRepository"]

_FIRST_EPOCH = 1


class MemoryObjectRepository(MemoryHousekeeping):
    """See `ObjectRepository`. In every method: wait, then check everything, then change."""

    # -- upload -------------------------------------------------------------------------------

    async def begin(self, intent: UploadIntent, *, lease_s: float) -> Lease:
        await checkpoint()
        self._check_begin(intent)
        return self._begin(intent, lease_s)

    async def reserve(self, lease: Lease, content: Content) -> Reservation:
        await checkpoint()
        await self._rows.unlocked([BlobKey(content.content_hash, lease.object.storage_class)])
        row = self._leased(lease)
        if row.held is not None:
            return self._reserved_before(row, lease, content)
        self._check_size(lease.intent, content)
        return self._reserve(lease, content)

    async def begin_reserved(
        self, intent: UploadIntent, content: Content, *, lease_s: float
    ) -> Reservation | Committed:
        await checkpoint()
        await self._rows.unlocked([BlobKey(content.content_hash, intent.new.storage_class)])
        self._check_begin(intent)
        self._check_size(intent, content)
        reservation = self._reserve(self._begin(intent, lease_s), content)
        if reservation.locator is None:
            return reservation
        committed = self._commit(self._rows.objects[intent.new.id], reservation.locator)
        keep_answer(self._rows, intent, committed)
        return committed

    async def commit(self, lease: Lease, locator: Locator) -> Committed:
        await checkpoint()
        row = self._reserved(lease)
        if not lease.intent.replace and row.object.key is not None and not row.has_key:
            raise UploadExpired("another upload took the key")
        self._check_conditions(row.object.key, lease.intent)
        committed = self._commit(row, locator)
        keep_answer(self._rows, lease.intent, committed)
        return committed

    async def renew(self, lease: Lease, *, lease_s: float) -> None:
        await checkpoint()
        row = self._leased(lease)
        row.lease_expires_at = self._rows.now() + timedelta(seconds=lease_s)

    async def abort(self, lease: Lease) -> None:
        await checkpoint()
        row = self._rows.objects.get(lease.object.id)
        if row is not None and _is_live(row, lease):
            self._rows.abandon(row, self._rows.now())

    def _leased(self, lease: Lease) -> ObjectRow:
        row = self._rows.objects.get(lease.object.id)
        if row is None or not _is_live(row, lease):
            raise UploadExpired("the upload lost its lease")
        return row

    def _reserved_before(self, row: ObjectRow, lease: Lease, content: Content) -> Reservation:
        assert row.held is not None
        if row.held.content_hash != content.content_hash:
            raise InvalidState("the upload has reserved other content")
        self._check_size(lease.intent, content)
        blob = self._rows.blobs[row.held]
        durable = blob.locator if blob.stored_at is not None else None
        return Reservation(replace(lease, object=row.object), durable)

    def _reserved(self, lease: Lease) -> ObjectRow:
        row = self._leased(lease)
        if row.held is None:
            raise InvalidState("the upload has not reserved its content")
        return row

    def _check_begin(self, intent: UploadIntent) -> None:
        new = intent.new
        if new.id in self._rows.objects:
            raise InvalidState("there is an object with this id already")
        check_claim(self._rows, intent)
        self._check_conditions(new.key, intent)
        if not intent.replace:
            self._check_key_free(new.tenant_id, new.namespace, new.key)

    def _check_conditions(self, key: ObjectKey | None, intent: UploadIntent) -> None:
        holder = self._rows.holder(intent.new.tenant_id, intent.new.namespace, key)
        visible = holder is not None and holder.object.status is ObjectStatus.COMMITTED
        current = holder.object.content_hash if visible and holder is not None else None
        _check(intent.conditions, current)

    def _check_key_free(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey | None
    ) -> None:
        """Refuse a key that is held, unless its holder is an upload whose lease is over."""
        holder = self._rows.holder(tenant_id, namespace, key)
        if holder is None or self._is_over(holder):
            return
        visible = holder.object.status is ObjectStatus.COMMITTED
        raise KeyConflict(
            "a live object holds the key",
            object_id=holder.object.id,
            content_hash=holder.object.content_hash if visible else None,
        )

    def _check_size(self, intent: UploadIntent, content: Content) -> None:
        blob = self._rows.blobs.get(BlobKey(content.content_hash, intent.new.storage_class))
        if blob is not None and blob.size_bytes != content.size_bytes:
            raise Corrupt("content of this hash is recorded with another size")

    def _take_key(self, row: ObjectRow) -> None:
        """Take a key that is free, or held by an upload whose lease is over."""
        new = row.object
        holder = self._rows.holder(new.tenant_id, new.namespace, new.key)
        if holder is not None and holder is not row:
            self._rows.abandon(holder, self._rows.now())
        self._rows.take_key(row)

    def _begin(self, intent: UploadIntent, lease_s: float) -> Lease:
        now = self._rows.now()
        claim(self._rows, intent)
        begun = StoredObject.begin(intent.new, now)
        row = ObjectRow(begun, _FIRST_EPOCH, now + timedelta(seconds=lease_s))
        if not intent.replace:
            self._take_key(row)
        self._rows.insert(row)
        return Lease(intent=intent, object=begun, epoch=row.epoch)

    def _reserve(self, lease: Lease, content: Content) -> Reservation:
        row = self._rows.objects[lease.object.id]
        blob = self._rows.hold(row, content, self._rows.now())
        durable = blob.locator if blob.stored_at is not None else None
        return Reservation(replace(lease, object=row.object), durable)

    def _commit(self, row: ObjectRow, locator: Locator) -> Committed:
        rows, now = self._rows, self._rows.now()
        locator = self._confirm(row, locator)
        replaced: ObjectId | None = None
        holder = rows.holder(row.object.tenant_id, row.object.namespace, row.object.key)
        if holder is not None and holder is not row:
            if holder.object.status is ObjectStatus.COMMITTED:
                replaced = rows.delete(holder, now).id
            else:
                rows.free_key(holder)
        rows.take_key(row)
        rows.become(row, row.object.commit(locator, now))
        return Committed(rows.seen(row), replaced)

    def _confirm(self, row: ObjectRow, locator: Locator) -> Locator:
        """Record the blob durable, unless another upload of the same bytes did so first.

        Returns:
            Where it is.
        """
        assert row.held is not None
        blob = self._rows.blobs[row.held]
        if blob.stored_at is not None and blob.locator is not None:
            return blob.locator
        stored = replace(blob, stored_at=self._rows.now(), locator=locator)
        self._rows.blobs[row.held] = stored
        return locator

    # -- read ---------------------------------------------------------------------------------

    async def find(self, tenant_id: TenantId, object_id: ObjectId) -> StoredObject | None:
        await checkpoint()
        row = self._rows.committed(tenant_id, object_id)
        return None if row is None else self._rows.seen(row)

    async def find_by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> StoredObject | None:
        await checkpoint()
        row = self._committed_by_key(tenant_id, namespace, key)
        return None if row is None else self._rows.seen(row)

    def _committed_by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> ObjectRow | None:
        row = self._rows.holder(tenant_id, namespace, key)
        return row if row and row.object.status is ObjectStatus.COMMITTED else None

    async def page(self, query: Query) -> Page:
        await checkpoint()
        committed = (
            row.object
            for row in self._rows.of_tenant(query.tenant_id)
            if row.object.status is ObjectStatus.COMMITTED
        )
        return page(committed, query)

    # -- change -------------------------------------------------------------------------------

    async def update(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        change: Change,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        await checkpoint()
        row = self._visible(tenant_id, object_id, conditions)
        self._change(row, self._changed(row, change))
        return self._rows.seen(row)

    def _changed(self, row: ObjectRow, change: Change) -> StoredObject:
        """What the object would be, if nothing speaks against it."""
        before = row.object
        metadata = change.merged(before.metadata)
        key = before.key if change.key is msgspec.UNSET else change.key
        if key != before.key:
            self._check_key_free(before.tenant_id, before.namespace, key)
        return replace(
            before,
            key=key,
            content_type=(
                before.content_type if change.content_type is msgspec.UNSET else change.content_type
            ),
            metadata=metadata,
            updated_at=self._rows.now(),
        )

    def _change(self, row: ObjectRow, changed: StoredObject) -> None:
        if changed.key != row.object.key:
            self._rows.free_key(row)
        self._rows.become(row, changed)
        self._take_key(row)

    async def commit_move(
        self,
        lease: Lease,
        locator: Locator,
        *,
        object_id: ObjectId,
        change: Change = UNCHANGED,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        await checkpoint()
        rows, now = self._rows, self._rows.now()
        upload = self._reserved(lease)
        row = self._visible(upload.object.tenant_id, object_id, conditions)
        if row.object.content_hash != upload.object.content_hash:
            raise InvalidState("the object has other content than the upload")
        changed = self._changed(row, change)
        locator = self._confirm(upload, locator)
        rows.release(row, now)
        row.held, upload.held = upload.held, None
        moved = replace(changed, storage_class=upload.object.storage_class, locator=locator)
        self._change(row, moved)
        rows.abandon(upload, now)
        return rows.seen(row)

    def _visible(
        self, tenant_id: TenantId, object_id: ObjectId, conditions: Conditions
    ) -> ObjectRow:
        row = self._rows.committed(tenant_id, object_id)
        if row is None:
            raise NotFound("there is no such object")
        _check(conditions, row.object.content_hash)
        return row

    # -- delete -------------------------------------------------------------------------------

    async def delete(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        await checkpoint()
        row = self._visible(tenant_id, object_id, conditions)
        return self._rows.delete(row, self._rows.now())

    async def delete_by_key(
        self,
        tenant_id: TenantId,
        namespace: Namespace,
        key: ObjectKey,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        await checkpoint()
        row = self._committed_by_key(tenant_id, namespace, key)
        _check(conditions, None if row is None else row.object.content_hash)
        if row is None:
            raise NotFound("nothing holds the key")
        return self._rows.delete(row, self._rows.now())

    async def delete_many(
        self,
        tenant_id: TenantId,
        object_ids: Sequence[ObjectId],
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> set[ObjectId]:
        await checkpoint()
        now = self._rows.now()
        deleted: set[ObjectId] = set()
        for object_id in object_ids:
            row = self._rows.committed(tenant_id, object_id)
            if row is not None and is_within(row.object.namespace, namespaces):
                self._rows.delete(row, now)
                deleted.add(object_id)
        return deleted


def _check(conditions: Conditions, current: ContentHash | None) -> None:
    if not conditions.hold_for(current):
        raise PreconditionFailed("the precondition does not hold")


def _is_live(row: ObjectRow, lease: Lease) -> bool:
    return row.object.status is ObjectStatus.WRITING and row.epoch == lease.epoch
