"""The usage repository. What changes a count is in the database: see `COUNT_USAGE` in `_schema`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

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
from juststorage_postgres._page import like
from juststorage_postgres._pool import Connection, Pool

__all__ = ["PostgresUsageRepository"]

_RECOUNT_S: Final = 3600.0
"""Seconds that one tenant may take to be counted anew: an audit, for which nobody waits."""

_RECORDED: Final = """
    SELECT namespace, storage_class, sum(objects)::bigint AS objects, sum(bytes)::bigint AS bytes
    FROM (
        SELECT * FROM usage WHERE tenant_id = $1
        UNION ALL SELECT * FROM usage_deltas WHERE tenant_id = $1
    ) AS u"""

# $2: LIKE patterns of namespaces, NULL for all. One statement, hence one snapshot of all parts.
_LOGICAL: Final = f"""
SELECT namespace, storage_class, objects, bytes, NULL::bigint AS physical FROM (
    {_RECORDED} WHERE $2::text[] IS NULL OR namespace LIKE ANY ($2) GROUP BY 1, 2
) AS l WHERE objects <> 0 ORDER BY 1, 2"""  # noqa: S608 - every part is ours

# Half the time, where each hash would otherwise be sorted on the disk.
_ROOM: Final = "SET LOCAL work_mem = '64MB'"

_PHYSICAL: Final = f"""
WITH held AS MATERIALIZED (
    SELECT DISTINCT namespace, storage_class, blob_hash, size_bytes FROM objects
    WHERE tenant_id = $1 AND status = 'COMMITTED'
        AND ($2::text[] IS NULL OR namespace LIKE ANY ($2))
)
SELECT namespace, storage_class, objects, bytes, physical FROM (
    {_RECORDED} WHERE $2::text[] IS NULL OR namespace LIKE ANY ($2) GROUP BY 1, 2
) AS l LEFT JOIN (
    SELECT namespace, storage_class, sum(size_bytes)::bigint AS physical FROM held GROUP BY 1, 2
) AS p USING (namespace, storage_class)
WHERE objects <> 0
UNION ALL
SELECT NULL, NULL, NULL, NULL, sum(size_bytes)::bigint FROM (
    SELECT DISTINCT storage_class, blob_hash, size_bytes FROM held
) AS once
ORDER BY 1, 2"""  # noqa: S608

# A row for each class; one with how many tenants there are, and since when there is garbage.
_TOTALS: Final = """
WITH counted AS MATERIALIZED (
    SELECT tenant_id, storage_class, sum(objects) AS objects, sum(bytes) AS bytes FROM (
        SELECT * FROM usage UNION ALL SELECT * FROM usage_deltas
    ) AS u GROUP BY 1, 2
)
SELECT
    storage_class, sum(objects)::bigint AS objects, sum(bytes)::bigint AS bytes,
    NULL::timestamptz AS since
FROM counted GROUP BY 1
UNION ALL
SELECT
    NULL, count(DISTINCT tenant_id), 0,
    (SELECT min(zero_since) FROM blobs WHERE zero_since IS NOT NULL)
FROM counted WHERE objects <> 0"""

# A second for a million contents, and a service with hundreds of millions is told what it has, too.
# Nobody waits for it, and it keeps nobody waiting but the cleaning up behind changes.
_STORED_S: Final = 600
_REPORT_S: Final = 5
_STORED_PATIENCE: Final = f"SET LOCAL statement_timeout = '{_STORED_S}s'"
_STORED: Final = """
SELECT storage_class, count(*) AS blobs, sum(size_bytes)::bigint AS bytes FROM blobs GROUP BY 1"""

# Rows that another process folds are skipped, so several never wait for each other here; the
# counters are taken in the order of their keys. A delta may come before the one that it undoes, so
# a counter may be below zero for a while; with the deltas it is right at any time.
_FOLD: Final = """
WITH due AS MATERIALIZED (
    SELECT ctid FROM usage_deltas LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM usage_deltas d USING due WHERE d.ctid = due.ctid
    RETURNING d.tenant_id, d.namespace, d.storage_class, d.objects, d.bytes
), kept AS (
    INSERT INTO usage AS u (tenant_id, namespace, storage_class, objects, bytes)
    SELECT tenant_id, namespace, storage_class, sum(objects), sum(bytes)
    FROM gone GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant_id, namespace, storage_class) DO UPDATE SET
        objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes
)
SELECT count(*) FROM gone"""

_NEXT: Final = """
SELECT min(tenant_id) FROM (
    SELECT min(tenant_id) AS tenant_id FROM objects
    WHERE status = 'COMMITTED' AND ($1::text IS NULL OR tenant_id > $1)
    UNION ALL SELECT min(tenant_id) FROM usage WHERE $1::text IS NULL OR tenant_id > $1
    UNION ALL SELECT min(tenant_id) FROM usage_deltas WHERE $1::text IS NULL OR tenant_id > $1
) AS t"""

# Two that mend at once would both add what is missing.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('usage', 0))"

_RECOUNT: Final = f"""
WITH recorded AS ({_RECORDED} GROUP BY 1, 2), actual AS (
    SELECT namespace, storage_class, count(*) AS objects, sum(size_bytes)::bigint AS bytes
    FROM objects WHERE tenant_id = $1 AND status = 'COMMITTED' GROUP BY 1, 2
), drift AS (
    SELECT
        namespace, storage_class,
        coalesce(r.objects, 0) AS recorded_objects, coalesce(r.bytes, 0) AS recorded_bytes,
        coalesce(a.objects, 0) AS actual_objects, coalesce(a.bytes, 0) AS actual_bytes
    FROM recorded r FULL JOIN actual a USING (namespace, storage_class)
    WHERE (coalesce(r.objects, 0), coalesce(r.bytes, 0))
        <> (coalesce(a.objects, 0), coalesce(a.bytes, 0))
), mended AS (
    INSERT INTO usage_deltas (tenant_id, namespace, storage_class, objects, bytes)
    SELECT
        $1, namespace, storage_class,
        actual_objects - recorded_objects, actual_bytes - recorded_bytes
    FROM drift WHERE $2::boolean
)
SELECT * FROM drift ORDER BY namespace, storage_class"""  # noqa: S608


class PostgresUsageRepository(UsageRepository):
    """See `UsageRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(
        self,
        tenant_id: TenantId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
        physical: bool = True,
    ) -> Usage:
        patterns = None if namespaces is None else sorted(map(like, namespaces))
        if not physical:
            async with self._pool.connection() as connection:
                rows = await connection.fetch(_LOGICAL, tenant_id, patterns)
            return Usage(parts=[_part_of(row) for row in rows])
        async with self._pool.transaction() as connection:
            await connection.execute(_ROOM)
            rows = await connection.fetch(_PHYSICAL, tenant_id, patterns)
        parts = [_part_of(row) for row in rows if row["namespace"] is not None]
        (total,) = [row["physical"] or 0 for row in rows if row["namespace"] is None]
        return Usage(parts=parts, physical_bytes=total)

    async def totals(self, *, physical: bool) -> Totals:
        stored: dict[str, tuple[int, int]] = {}
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(_TOTALS)
            if physical:
                await connection.execute(_STORED_PATIENCE)
                found = await connection.fetch(_STORED, timeout=_STORED_S + _REPORT_S)
                stored = {row["storage_class"]: (row["blobs"], row["bytes"]) for row in found}
        counted = {row["storage_class"]: (row["objects"], row["bytes"]) for row in rows}
        (general,) = [row for row in rows if row["storage_class"] is None]
        parts = [
            TotalsPart(
                storage_class=each,
                objects=counted.get(each, (0, 0))[0],
                logical_bytes=counted.get(each, (0, 0))[1],
                blobs=stored.get(each, (0, 0))[0] if physical else None,
                physical_bytes=stored.get(each, (0, 0))[1] if physical else None,
            )
            for each in sorted(StorageClass)
        ]
        return Totals(tenants=general["objects"], parts=parts, garbage_since=general["since"])

    async def fold(self, *, limit: int) -> int:
        async def run(connection: Connection) -> int:
            return int(await connection.fetchval(_FOLD, limit))

        return await self._pool.attempt(run, single=True)

    async def recount(self, *, after: TenantId | None, repair: bool) -> UsageRecount | None:
        async def run(connection: Connection) -> UsageRecount | None:
            await connection.execute("SET LOCAL statement_timeout = 0")
            tenant_id = await connection.fetchval(_NEXT, after, timeout=_RECOUNT_S)
            if tenant_id is None:
                return None
            if repair:
                await connection.execute(_LOCK, timeout=_RECOUNT_S)
            rows = await connection.fetch(_RECOUNT, tenant_id, repair, timeout=_RECOUNT_S)
            return UsageRecount(TenantId(tenant_id), [_drift_of(row) for row in rows])

        return await self._pool.attempt(run)


def _part_of(row: Any) -> UsagePart:
    return UsagePart(
        namespace=Namespace(row["namespace"]),
        storage_class=StorageClass(row["storage_class"]),
        objects=row["objects"],
        logical_bytes=row["bytes"],
        physical_bytes=row["physical"],
    )


def _drift_of(row: Any) -> UsageDrift:
    return UsageDrift(
        namespace=Namespace(row["namespace"]),
        storage_class=StorageClass(row["storage_class"]),
        recorded_objects=row["recorded_objects"],
        recorded_bytes=row["recorded_bytes"],
        actual_objects=row["actual_objects"],
        actual_bytes=row["actual_bytes"],
    )
