"""The idempotency repository, and what uploads do to its records, as functions of a transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from juststorage.domain import ObjectId, TenantId
from juststorage.errors import IdempotencyInFlight, IdempotencyMismatch
from juststorage.ports import (
    Clock,
    Committed,
    IdempotencyRecord,
    IdempotencyRepository,
    UploadIntent,
    decode_answer,
    encode_answer,
)
from juststorage_sqlite._moves import abandon
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._rows import trusted
from juststorage_sqlite._times import micros, to_micros
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteIdempotencyRepository", "claim", "keep_answer"]

# A record counts while its answer is kept, or its upload is alive: ?3 is the time.
_FIND: Final = (
    "SELECT k.request, k.answer, k.upload_id,"
    " CASE WHEN k.answer IS NULL THEN o.lease_expires_at > ?3 ELSE k.expires_at > ?3 END,"
    " o.status FROM idempotency_keys AS k LEFT JOIN objects AS o ON o.id = k.upload_id"
    " WHERE k.tenant_id = ?1 AND k.key = ?2"
)
_PUT: Final = (
    "INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, key) DO UPDATE SET"
    " request = excluded.request, upload_id = excluded.upload_id,"
    " expires_at = excluded.expires_at, answer = excluded.answer"
)
_PURGE: Final = (
    "DELETE FROM idempotency_keys WHERE (tenant_id, key) IN ("
    "SELECT k.tenant_id, k.key FROM idempotency_keys AS k"
    " LEFT JOIN objects AS o ON o.id = k.upload_id WHERE k.expires_at <= ?1"
    " AND (k.answer IS NOT NULL OR o.lease_expires_at IS NULL OR o.lease_expires_at <= ?1)"
    " LIMIT ?2)"
)


class SqliteIdempotencyRepository(IdempotencyRepository):
    """See `IdempotencyRepository`."""

    def __init__(self, clock: Clock, writer: Writer, reader: Reader) -> None:
        self._clock = clock
        self._writer = writer
        self._reader = reader

    async def find(self, tenant_id: TenantId, text: str) -> IdempotencyRecord | None:
        now = to_micros(self._clock.now())
        return await self._reader.run(lambda db: _find(db, now, tenant_id, text))

    async def purge(self, *, limit: int) -> int:
        return await self._writer.run_alone(
            lambda db, now: db.execute(_PURGE, (now, limit)).rowcount
        )


def _find(
    db: sqlite3.Connection, now: int, tenant_id: TenantId, text: str
) -> IdempotencyRecord | None:
    row = db.execute(_FIND, (tenant_id, text, now)).fetchone()
    if row is None or not row[3]:
        return None
    return IdempotencyRecord(row[0], None if row[1] is None else decode_answer(row[1]))


def claim(db: sqlite3.Connection, now: int, intent: UploadIntent) -> None:
    """Let the key of a new upload stand for it; one whose lease is over and that had it ends.

    Raises:
        IdempotencyMismatch, IdempotencyInFlight: It stands for another one.
    """
    key, new = intent.idempotency, intent.new
    if key is None:
        return
    row = db.execute(_FIND, (new.tenant_id, key.text, now)).fetchone()
    if row is not None and row[3]:
        if row[0] != key.request:
            raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        raise IdempotencyInFlight(
            "a request with this Idempotency-Key is still under way", retry_after_s=1
        )
    if row is not None and row[4] == "WRITING":
        abandon(db, now, [trusted(ObjectId, row[2])])
    expires_at = now + micros(key.ttl_s)
    db.execute(_PUT, (new.tenant_id, key.text, key.request, new.id, expires_at, None))


def keep_answer(
    db: sqlite3.Connection, now: int, intent: UploadIntent, committed: Committed
) -> None:
    """Keep what an upload that commits is answered with."""
    key, new = intent.idempotency, intent.new
    if key is not None:
        answer = encode_answer(committed)
        expires_at = now + micros(key.ttl_s)
        db.execute(_PUT, (new.tenant_id, key.text, key.request, new.id, expires_at, answer))
