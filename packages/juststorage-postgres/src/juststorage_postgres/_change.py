"""Changes to committed objects: their attributes, and the class of their storage."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from juststorage.domain import (
    UNCHANGED,
    UNCONDITIONAL,
    Change,
    Conditions,
    Locator,
    ObjectId,
    StoredObject,
    TenantId,
)
from juststorage.errors import InvalidState
from juststorage.ports import Lease, ObjectRepository
from juststorage_postgres._careful import check_key_free, reserved_row, take_over, visible
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._rows import KeyName, ObjectRow
from juststorage_postgres._work import Work

__all__ = ["Changes"]

_NAMESPACE = "SELECT namespace FROM objects WHERE id = $1::text::uuid AND tenant_id = $2"


class Changes(ObjectRepository):
    """The part of `ObjectRepository` that changes committed objects."""

    _pool: Pool

    async def update(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        change: Change,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        async def run(connection: Connection) -> StoredObject:
            keys = await _keys_of(connection, tenant_id, object_id, change)
            work = Work(connection)
            await work.lock([object_id], keys=keys)
            row = visible(work, tenant_id, object_id, conditions)
            _update(work, row, change)
            await work.flush()
            return work.seen(row)

        return await self._pool.attempt(run)

    async def commit_move(
        self,
        lease: Lease,
        locator: Locator,
        *,
        object_id: ObjectId,
        change: Change = UNCHANGED,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        async def run(connection: Connection) -> StoredObject:
            keys = await _keys_of(connection, lease.object.tenant_id, object_id, change)
            work = Work(connection)
            await work.lock([lease.object.id, object_id], keys=keys)
            upload = reserved_row(work, lease)
            row = visible(work, upload.object.tenant_id, object_id, conditions)
            if row.object.content_hash != upload.object.content_hash:
                raise InvalidState("the object has other content than the upload")
            _update(work, row, change)
            _move(work, upload, row, locator)
            await work.flush()
            return work.seen(row)

        return await self._pool.attempt(run)


async def _keys_of(
    connection: Connection, tenant_id: TenantId, object_id: ObjectId, change: Change
) -> list[KeyName]:
    """The key that a change asks for, with its tenant and namespace."""
    if change.key is msgspec.UNSET or change.key is None:
        return []
    # An object never changes its namespace, so the look beforehand cannot go stale.
    namespace = await connection.fetchval(_NAMESPACE, object_id, tenant_id)
    return [] if namespace is None else [(tenant_id, namespace, change.key)]


def _update(work: Work, row: ObjectRow, change: Change) -> None:
    before = row.object
    metadata = change.merged(before.metadata)
    key = before.key if change.key is msgspec.UNSET else change.key
    if key is not None and key != before.key:
        key_name = (before.tenant_id, before.namespace, key)
        check_key_free(work, key_name)
        take_over(work, key_name)
    content_type = change.content_type
    changed = replace(
        before,
        key=key,
        content_type=before.content_type if content_type is msgspec.UNSET else content_type,
        metadata=metadata,
        updated_at=work.now,
    )
    work.change(row, changed)


def _move(work: Work, upload: ObjectRow, row: ObjectRow, locator: Locator) -> None:
    """Hand the upload's reference to the object, and end the upload."""
    work.confirm(upload, locator)
    work.release(row)
    row.held, upload.held = upload.held, None
    moved = replace(row.object, storage_class=upload.object.storage_class, updated_at=work.now)
    work.change(row, moved)
    work.abandon(upload)
