"""The usage repository. Triggers keep the counts: see `TRIGGERS` in `_schema`."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from juststorage.domain import Namespace, NamespacePattern, StorageClass, TenantId
from juststorage.ports import (
    Totals,
    TotalsPart,
    Usage,
    UsageDrift,
    UsagePart,
    UsageRecount,
    UsageRepository,
)
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._rows import names_json, trusted
from juststorage_sqlite._times import from_micros
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteUsageRepository"]

_WITHIN: Final = (
    "(:namespaces IS NULL OR EXISTS"
    " (SELECT 1 FROM json_each(:namespaces) AS n WHERE {}.namespace GLOB n.value))"
)
_COUNTED: Final = (
    "SELECT u.namespace, u.storage_class, u.objects, u.bytes FROM usage AS u"
    f" WHERE u.tenant_id = :tenant_id AND u.objects <> 0 AND {_WITHIN.format('u')}"
)
_LOGICAL: Final = f"SELECT *, NULL FROM ({_COUNTED}) ORDER BY 1, 2"
# One statement, hence one state of the database in all its parts.
_PHYSICAL: Final = (
    "WITH held AS MATERIALIZED (SELECT DISTINCT o.namespace, o.storage_class, o.blob_hash,"
    " o.size_bytes FROM objects AS o WHERE o.tenant_id = :tenant_id AND o.status = 'COMMITTED'"
    f" AND {_WITHIN.format('o')})"
    f" SELECT c.*, (SELECT sum(h.size_bytes) FROM held AS h WHERE h.namespace = c.namespace"
    f" AND h.storage_class = c.storage_class) FROM ({_COUNTED}) AS c"
    " UNION ALL SELECT NULL, NULL, NULL, NULL, coalesce(sum(size_bytes), 0)"
    " FROM (SELECT DISTINCT storage_class, blob_hash, size_bytes FROM held)"
    " ORDER BY 1, 2"
)
# What each class has, then how many tenants there are, then since when there is garbage.
_ALL: Final = (
    "SELECT storage_class, sum(objects), sum(bytes), NULL, NULL FROM usage GROUP BY 1"
    " UNION ALL SELECT 'tenants', count(DISTINCT tenant_id), 0, NULL, NULL FROM usage"
    " WHERE objects <> 0"
    " UNION ALL SELECT 'garbage', min(zero_since), 0, NULL, NULL FROM blobs WHERE ref_count = 0"
)
_ALL_PHYSICAL: Final = (
    f"{_ALL} UNION ALL SELECT storage_class, 0, 0, count(*), sum(size_bytes) FROM blobs GROUP BY 1"
)
_NEXT: Final = (
    "SELECT min(t) FROM (SELECT min(tenant_id) AS t FROM objects"
    " WHERE status = 'COMMITTED' AND tenant_id > ?1"
    " UNION ALL SELECT min(tenant_id) FROM usage WHERE tenant_id > ?1)"
)
_DRIFTS: Final = (
    "SELECT namespace, storage_class, sum(ro), sum(rb), sum(ao), sum(ab) FROM ("
    "SELECT namespace, storage_class, objects AS ro, bytes AS rb, 0 AS ao, 0 AS ab"
    " FROM usage WHERE tenant_id = ?1"
    " UNION ALL SELECT namespace, storage_class, 0, 0, count(*), sum(size_bytes)"
    " FROM objects WHERE tenant_id = ?1 AND status = 'COMMITTED' GROUP BY 1, 2"
    ") GROUP BY 1, 2 HAVING sum(ro) <> sum(ao) OR sum(rb) <> sum(ab) ORDER BY 1, 2"
)
_SET: Final = (
    "INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant_id, namespace, storage_class)"
    " DO UPDATE SET objects = excluded.objects, bytes = excluded.bytes"
)


class SqliteUsageRepository(UsageRepository):
    """See `UsageRepository`. There is one writer, so its transactions count at once."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def of(
        self,
        tenant_id: TenantId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
        physical: bool = True,
    ) -> Usage:
        asked = None if namespaces is None else names_json(namespaces)
        return await self._reader.run(lambda db: _of(db, tenant_id, asked, physical))

    async def totals(self, *, physical: bool) -> Totals:
        return await self._reader.run(lambda db: _totals(db, physical))

    async def fold(self, *, limit: int) -> int:
        await self._writer.run(
            lambda db, now: db.execute("DELETE FROM usage WHERE objects = 0 AND bytes = 0")
        )
        return 0

    async def recount(self, *, after: TenantId | None, repair: bool) -> UsageRecount | None:
        if repair:
            return await self._writer.run_alone(lambda db, now: _recount(db, after, repair=True))
        return await self._reader.run(lambda db: _recount(db, after, repair=False))


def _of(db: sqlite3.Connection, tenant_id: TenantId, asked: str | None, physical: bool) -> Usage:
    values = {"tenant_id": tenant_id, "namespaces": asked}
    rows = db.execute(_PHYSICAL if physical else _LOGICAL, values).fetchall()
    parts = [
        UsagePart(
            namespace=trusted(Namespace, row[0]),
            storage_class=StorageClass(row[1]),
            objects=row[2],
            logical_bytes=row[3],
            physical_bytes=row[4],
        )
        for row in rows
        if row[0] is not None
    ]
    totals = [row[4] for row in rows if row[0] is None]
    return Usage(parts=parts, physical_bytes=totals[0] if physical else None)


def _totals(db: sqlite3.Connection, physical: bool) -> Totals:
    rows = db.execute(_ALL_PHYSICAL if physical else _ALL).fetchall()
    counts = {each: [0, 0, 0, 0] for each in sorted(StorageClass)}
    others: dict[str, int | None] = {}
    for name, *numbers in rows:
        if name in counts:
            counts[name] = [a + (b or 0) for a, b in zip(counts[name], numbers, strict=True)]
        else:
            others[name] = numbers[0]
    return Totals(
        tenants=others["tenants"] or 0,
        parts=[
            TotalsPart(
                storage_class=name,
                objects=objects,
                logical_bytes=size,
                blobs=blobs if physical else None,
                physical_bytes=stored if physical else None,
            )
            for name, (objects, size, blobs, stored) in counts.items()
        ],
        garbage_since=None if others["garbage"] is None else from_micros(others["garbage"]),
    )


def _recount(
    db: sqlite3.Connection, after: TenantId | None, *, repair: bool
) -> UsageRecount | None:
    (tenant_id,) = db.execute(_NEXT, (after or "",)).fetchone()
    if tenant_id is None:
        return None
    rows = db.execute(_DRIFTS, (tenant_id,)).fetchall()
    if repair:
        db.executemany(_SET, [(tenant_id, row[0], row[1], row[4], row[5]) for row in rows])
    drifts = [
        UsageDrift(
            namespace=trusted(Namespace, row[0]),
            storage_class=StorageClass(row[1]),
            recorded_objects=row[2],
            recorded_bytes=row[3],
            actual_objects=row[4],
            actual_bytes=row[5],
        )
        for row in rows
    ]
    return UsageRecount(trusted(TenantId, tenant_id), drifts)
