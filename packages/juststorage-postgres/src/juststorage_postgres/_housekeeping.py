"""Housekeeping: what ends by itself, and what the auditor walks over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from juststorage.domain import BlobKey, ObjectId, ObjectStatus, StoredObject
from juststorage.ports import ObjectRepository
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._rows import object_of, object_row_of
from juststorage_postgres._schema import columns, objects
from juststorage_postgres._work import Work

__all__ = ["Housekeeping"]

# Skipped rows are being reaped, renewed or committed by someone: none of our business now.
_LOCK_OVER: Final = f"""
SELECT {columns(objects)} FROM objects
WHERE status = 'WRITING' AND lease_expires_at <= clock_timestamp()
ORDER BY lease_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED"""  # noqa: S608

_EXPIRED: Final = """
SELECT id::text FROM objects
WHERE status = 'WRITING' AND lease_expires_at <= clock_timestamp() - make_interval(secs => $1)
ORDER BY lease_expires_at LIMIT $2"""

_LIVE: Final = """
SELECT id::text FROM objects
WHERE id = ANY ($1::text[]::uuid[]) AND status = 'WRITING'"""

# Chosen in a materialized CTE: a subquery with LIMIT and FOR UPDATE inside IN may be run again for
# every row that it is compared with, and then chooses more each time. Locked, a row stays DELETING:
# asked for once more below, the planner could walk through all that are.
_BURY: Final = """
WITH due AS MATERIALIZED (
    SELECT o.id FROM objects o LEFT JOIN blobs b USING (content_hash, storage_class)
    WHERE o.status = 'DELETING' AND (b.content_hash IS NULL OR b.ref_count > 0)
    LIMIT $1 FOR UPDATE OF o SKIP LOCKED
)
UPDATE objects o SET status = 'DELETED', updated_at = clock_timestamp()
FROM due WHERE o.id = due.id RETURNING 1"""

_PURGE: Final = """
WITH due AS MATERIALIZED (
    SELECT id FROM objects
    WHERE status = 'DELETED' AND updated_at <= clock_timestamp() - make_interval(secs => $1)
    ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM objects o USING due WHERE o.id = due.id RETURNING 1"""

_SCAN: Final = f"""
SELECT {columns(objects, "o.")}, b.locator
FROM objects o
LEFT JOIN blobs b ON b.content_hash = o.blob_hash AND b.storage_class = o.storage_class
WHERE $1::text IS NULL OR o.id > $1::text::uuid
ORDER BY o.id LIMIT $2"""  # noqa: S608


_HOLDERS: Final = f"""
SELECT {columns(objects, "o.")}, b.locator
FROM objects o
LEFT JOIN blobs b ON b.content_hash = o.blob_hash AND b.storage_class = o.storage_class
WHERE o.blob_hash = $1 AND o.storage_class = $2 AND o.status = 'COMMITTED'
ORDER BY o.id LIMIT $3"""  # noqa: S608


class Housekeeping(ObjectRepository):
    """The part of `ObjectRepository` that nobody asks for by name."""

    _pool: Pool

    async def reap(self, *, limit: int) -> list[ObjectId]:
        async def run(connection: Connection) -> list[ObjectId]:
            work = Work(connection)
            await work.lock_more(map(object_row_of, await connection.fetch(_LOCK_OVER, limit)))
            over = list(work.objects.values())
            for row in over:
                work.abandon(row)
            await work.flush()
            return [row.object.id for row in over]

        return await self._pool.attempt(run)

    async def expired(self, *, older_than_s: float, limit: int) -> list[ObjectId]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EXPIRED, float(older_than_s), limit)
        return [str.__new__(ObjectId, row[0]) for row in rows]

    async def live_uploads(self, upload_ids: Sequence[ObjectId]) -> set[ObjectId]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LIVE, list(upload_ids))
        return {str.__new__(ObjectId, row[0]) for row in rows}

    async def bury(self, *, limit: int) -> int:
        return await self._count(_BURY, limit)

    async def purge_tombstones(self, *, older_than_s: float, limit: int) -> int:
        return await self._count(_PURGE, float(older_than_s), limit)

    async def _count(self, statement: str, *arguments: float) -> int:
        """Run one changing statement; how many rows it changed."""

        async def run(connection: Connection) -> int:
            return len(await connection.fetch(statement, *arguments))

        return await self._pool.attempt(run, single=True)

    async def holders(self, key: BlobKey, *, limit: int) -> list[StoredObject]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_HOLDERS, key.content_hash, key.storage_class, limit)
        return [object_of(row, row["locator"]) for row in rows]

    async def scan(self, *, after: ObjectId | None, limit: int) -> list[StoredObject]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SCAN, after, limit)
        return [
            object_of(row, row["locator"] if row["status"] == ObjectStatus.COMMITTED else None)
            for row in rows
        ]
