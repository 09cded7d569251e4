"""Deletes: COMMITTED -> DELETING, key and reference released."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from juststorage.domain import (
    UNCONDITIONAL,
    Conditions,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StoredObject,
    TenantId,
    is_within,
)
from juststorage.errors import NotFound
from juststorage.ports import ObjectRepository
from juststorage_postgres._careful import Delete, check
from juststorage_postgres._fast import FastLane
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._work import Work

__all__ = ["Deletes"]


class Deletes(ObjectRepository):
    """The part of `ObjectRepository` that deletes."""

    _pool: Pool
    _lane: FastLane

    async def delete(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        return await self._lane.delete(Delete(tenant_id, object_id, conditions))

    async def delete_by_key(
        self,
        tenant_id: TenantId,
        namespace: Namespace,
        key: ObjectKey,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        async def run(connection: Connection) -> StoredObject:
            work = Work(connection)
            name = (tenant_id, namespace, key)
            await work.lock([], keys=[name])
            row = work.holder(name)
            if row is not None and row.object.status is not ObjectStatus.COMMITTED:
                row = None
            check(conditions, None if row is None else row.object.content_hash)
            if row is None:
                raise NotFound("nothing holds the key")
            deleted = work.delete(row)
            await work.flush()
            return deleted

        return await self._pool.attempt(run)

    async def delete_many(
        self,
        tenant_id: TenantId,
        object_ids: Sequence[ObjectId],
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> set[ObjectId]:
        async def run(connection: Connection) -> set[ObjectId]:
            work = Work(connection)
            await work.lock(set(object_ids))
            going = [
                row
                for row in work.objects.values()
                if row.object.status is ObjectStatus.COMMITTED
                if row.object.tenant_id == tenant_id
                if is_within(row.object.namespace, namespaces)
            ]
            for row in going:
                work.delete(row)
            await work.flush()
            return {row.object.id for row in going}

        return await self._pool.attempt(run)
