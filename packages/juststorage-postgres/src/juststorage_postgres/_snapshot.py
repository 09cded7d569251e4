"""A snapshot: one transaction of its own connection, read through cursors.

Not of the pool: what lasts as long as this would keep requests waiting for their connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import anyio

from juststorage.domain import BlobKey, ContentHash, ObjectId, StorageClass, TenantId
from juststorage.errors import Unavailable
from juststorage.ports import Record, SavedAnswer, SavedBlob, Snapshot
from juststorage_postgres._audit import EVENT_COLUMNS, event_of
from juststorage_postgres._connect import connect
from juststorage_postgres._errors import DRIVER_ERRORS, translated
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._pool import Connection
from juststorage_postgres._rows import OBJECT_COLUMNS, api_key_of, object_of
from juststorage_postgres._schema import api_keys, columns, objects

__all__ = ["open_snapshot"]

# SET LOCAL, for PgBouncer. Between two pages a target is written to, which may take its time.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""

_API_KEYS: Final = f"SELECT {columns(api_keys)} FROM api_keys ORDER BY id"  # noqa: S608

_BLOBS: Final = """
SELECT b.content_hash, b.storage_class, b.size_bytes, b.first_seen_at, b.last_used_at, h.held
FROM blobs b CROSS JOIN LATERAL (
    SELECT count(*) AS held FROM objects o
    WHERE o.blob_hash = b.content_hash AND o.storage_class = b.storage_class
        AND o.status = 'COMMITTED'
) AS h
WHERE h.held > 0 ORDER BY b.content_hash, b.storage_class"""

_OBJECTS: Final = f"""
SELECT {columns(objects, "o.", count=OBJECT_COLUMNS)} FROM objects o
WHERE o.status = 'COMMITTED' ORDER BY o.id"""  # noqa: S608

_ANSWERS: Final = """
SELECT tenant_id, key, request, upload_id::text AS upload_id, expires_at, answer
FROM idempotency_keys WHERE answer IS NOT NULL ORDER BY tenant_id, key"""

_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM audit_events ORDER BY id"  # noqa: S608

_GOODBYE_S: Final = 1.0
"""For the server to hear of the end; it notices anyway."""


async def open_snapshot(options: PostgresOptions) -> Snapshot:
    """The state as it is now."""
    connection = await connect(options, is_patient=True)
    try:
        with translated():
            await connection.execute(_BEGIN)
            # A transaction is of the moment of its first look, not of its BEGIN.
            taken_at = await connection.fetchval("SELECT clock_timestamp()")
    except BaseException:
        connection.terminate()
        raise
    return _PostgresSnapshot(connection, taken_at)


class _PostgresSnapshot(Snapshot):
    def __init__(self, connection: Connection, taken_at: datetime) -> None:
        self.taken_at = taken_at
        self._connection = connection
        self._parts = list(_PARTS)
        self._cursor: Any = None

    async def read(self, limit: int) -> Sequence[Record]:
        if self._connection.is_closed():
            raise Unavailable("the snapshot is closed, or its connection was lost")
        found: list[Record] = []
        with translated():
            while self._parts and len(found) < limit:
                statement, made = self._parts[0]
                if self._cursor is None:
                    self._cursor = await self._connection.cursor(statement)
                wanted = limit - len(found)
                rows = await self._cursor.fetch(wanted)
                found += map(made, rows)
                if len(rows) < wanted:
                    self._cursor = None
                    del self._parts[0]
        return found

    async def aclose(self) -> None:
        # Nothing was written, so there is nothing to say to the server but goodbye.
        with anyio.CancelScope(shield=True), suppress(*DRIVER_ERRORS):
            await self._connection.close(timeout=_GOODBYE_S)
        self._connection.terminate()


def _blob(row: Any) -> Record:
    return SavedBlob(
        key=BlobKey(
            str.__new__(ContentHash, row["content_hash"]), StorageClass(row["storage_class"])
        ),
        size_bytes=row["size_bytes"],
        references=row["held"],
        first_seen_at=row["first_seen_at"],
        last_used_at=row["last_used_at"],
    )


def _answer(row: Any) -> Record:
    return SavedAnswer(
        tenant_id=str.__new__(TenantId, row["tenant_id"]),
        text=row["key"],
        request=row["request"],
        upload_id=str.__new__(ObjectId, row["upload_id"]),
        expires_at=row["expires_at"],
        answer=row["answer"],
    )


_PARTS: Final[Sequence[tuple[str, Callable[[Any], Record]]]] = (
    (_API_KEYS, api_key_of),
    (_BLOBS, _blob),
    (_OBJECTS, object_of),
    (_ANSWERS, _answer),
    (_EVENTS, event_of),
)
