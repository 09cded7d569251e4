"""Reads: one object by id or by key, or a page of them."""

from __future__ import annotations

from datetime import datetime

from juststorage.domain import (
    Namespace,
    ObjectId,
    ObjectKey,
    Page,
    Position,
    Query,
    SortBy,
    StoredObject,
    TenantId,
)
from juststorage.ports import ObjectRepository
from juststorage_postgres._fast import FastLane
from juststorage_postgres._page import statements_of
from juststorage_postgres._pool import Pool
from juststorage_postgres._rows import object_of

__all__ = ["Reads"]


class Reads(ObjectRepository):
    """The part of `ObjectRepository` that reads."""

    _pool: Pool
    _lane: FastLane

    async def find(self, tenant_id: TenantId, object_id: ObjectId) -> StoredObject | None:
        return await self._lane.find(tenant_id, object_id)

    async def find_by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> StoredObject | None:
        return await self._lane.find_by_key((tenant_id, namespace, key))

    async def page(self, query: Query) -> Page:
        found: list[StoredObject] = []
        async with self._pool.connection() as connection:
            for statement, arguments in statements_of(query):
                missing = query.limit + 1 - len(found)
                rows = await connection.fetch(statement, *arguments, missing)
                found.extend(map(object_of, rows))
                if len(found) > query.limit:
                    break
        if len(found) <= query.limit:
            return Page(found, None)
        last = found[query.limit - 1]
        return Page(found[: query.limit], Position(_value(last, query.sort_by), last.id))


def _value(last: StoredObject, sort_by: SortBy) -> datetime | int | str | None:
    value: datetime | int | str | None = getattr(last, sort_by.value)
    return value
