"""The idempotency repository, and the records that a transaction of uploads holds.

Requests with a key take the careful way: one transaction that locks the key by its number, looks
what it stands for, and writes the record beside the object. The gathered statements know nothing of
keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from juststorage.domain import IdempotencyKey, ObjectId, ObjectStatus, TenantId
from juststorage.errors import IdempotencyInFlight, IdempotencyMismatch
from juststorage.ports import (
    Committed,
    IdempotencyRecord,
    IdempotencyRepository,
    UploadIntent,
    decode_answer,
    encode_answer,
)
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._work import Work

__all__ = ["KeyRecords", "PostgresIdempotencyRepository"]

_Name: TypeAlias = "tuple[TenantId, str]"

_LOCK: Final = """
SELECT pg_advisory_xact_lock(number) FROM (
    SELECT DISTINCT hashtextextended(concat_ws('/', 'idempotency', tenant_id, key), 0) AS number
    FROM unnest($1::text[], $2::text[]) AS k (tenant_id, key)
    ORDER BY number
) AS numbers"""

_LOOK: Final = """
SELECT
    r.tenant_id, r.key, r.request, r.upload_id::text, r.expires_at,
    r.answer IS NOT NULL AS answered
FROM unnest($1::text[], $2::text[]) AS k (tenant_id, key)
JOIN idempotency_keys r USING (tenant_id, key)"""

_PUT: Final = """
INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)
SELECT tenant_id, key, request, upload_id::uuid, expires_at, answer
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
    AS i (tenant_id, key, request, upload_id, expires_at, answer)
ON CONFLICT (tenant_id, key) DO UPDATE SET
    request = excluded.request, upload_id = excluded.upload_id,
    expires_at = excluded.expires_at, answer = excluded.answer"""

# A record counts while its answer is kept, or its upload is alive.
_FIND: Final = """
SELECT r.request, r.answer FROM idempotency_keys r LEFT JOIN objects o ON o.id = r.upload_id
WHERE r.tenant_id = $1 AND r.key = $2 AND CASE
    WHEN r.answer IS NOT NULL THEN r.expires_at > clock_timestamp()
    ELSE o.status = 'WRITING' AND o.lease_expires_at > clock_timestamp()
END"""

_PURGE: Final = """
WITH due AS MATERIALIZED (
    SELECT r.tenant_id, r.key FROM idempotency_keys r
    WHERE r.expires_at <= clock_timestamp() AND (r.answer IS NOT NULL OR NOT EXISTS (
        SELECT FROM objects o WHERE o.id = r.upload_id
            AND CASE WHEN o.status = 'WRITING' THEN o.lease_expires_at > clock_timestamp() END
    ))
    ORDER BY r.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys r USING due
WHERE r.tenant_id = due.tenant_id AND r.key = due.key RETURNING 1"""


class PostgresIdempotencyRepository(IdempotencyRepository):
    """See `IdempotencyRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, tenant_id: TenantId, text: str) -> IdempotencyRecord | None:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_FIND, tenant_id, text)
        if row is None:
            return None
        answer = row["answer"]
        return IdempotencyRecord(row["request"], None if answer is None else decode_answer(answer))

    async def purge(self, *, limit: int) -> int:
        async def run(connection: Connection) -> int:
            return len(await connection.fetch(_PURGE, limit))

        return await self._pool.attempt(run, single=True)


@dataclass(slots=True)
class _Record:
    request: str
    upload_id: ObjectId
    expires_at: datetime
    is_answered: bool = False
    answer: str | None = None


class KeyRecords:
    """The records of the keys that a transaction is about: locked, changed, written back.

    Locked before anything else, in the order of their numbers.
    """

    def __init__(self) -> None:
        self._records: dict[_Name, _Record] = {}
        self._changed: set[_Name] = set()

    async def lock(self, connection: Connection, intents: Iterable[UploadIntent]) -> None:
        """Lock the keys of these intents, and look what they stand for."""
        names = {name for intent in intents if (name := _name_of(intent)) is not None}
        if not names:
            return
        arrays = [list(column) for column in zip(*names, strict=True)]
        await connection.execute(_LOCK, *arrays)
        for row in await connection.fetch(_LOOK, *arrays):
            self._records[row["tenant_id"], row["key"]] = _record_of(row)

    @property
    def uploads(self) -> Collection[ObjectId]:
        """The uploads that have keys and no answers: their rows tell whether they are alive."""
        return {each.upload_id for each in self._records.values() if not each.is_answered}

    def check(self, work: Work, intent: UploadIntent) -> None:
        """Refuse an upload whose key stands for another one.

        Raises:
            IdempotencyMismatch, IdempotencyInFlight: It stands for another one.
        """
        name, key = _name_of(intent), intent.idempotency
        if name is None or key is None:
            return
        record = self._records.get(name)
        row = None if record is None else work.objects.get(record.upload_id)
        if record is not None and record.is_answered:
            is_alive = work.now < record.expires_at
        else:
            is_writing = row is not None and row.object.status is ObjectStatus.WRITING
            is_alive = is_writing and row is not None and not work.is_over(row)
        if record is not None and is_alive:
            if record.request != key.request:
                raise IdempotencyMismatch("this Idempotency-Key was used for another request")
            raise IdempotencyInFlight(
                "a request with this Idempotency-Key is still under way", retry_after_s=1
            )

    def take(self, work: Work, intent: UploadIntent) -> None:
        """Let the key stand for this upload; one whose lease is over and that had it has ended."""
        name, key = _name_of(intent), intent.idempotency
        if name is None or key is None:
            return
        before = self._records.get(name)
        row = None if before is None else work.objects.get(before.upload_id)
        if row is not None and row.object.status is ObjectStatus.WRITING:
            work.abandon(row)
        self._set(name, key, intent.new.id, work.now)

    def keep_answer(self, work: Work, intent: UploadIntent, committed: Committed) -> None:
        """Keep what an upload that commits is answered with."""
        name, key = _name_of(intent), intent.idempotency
        if name is not None and key is not None:
            record = self._set(name, key, intent.new.id, work.now)
            record.is_answered = True
            record.answer = encode_answer(committed)

    def _set(self, name: _Name, key: IdempotencyKey, upload_id: ObjectId, now: datetime) -> _Record:
        record = _Record(key.request, upload_id, now + timedelta(seconds=key.ttl_s))
        self._records[name] = record
        self._changed.add(name)
        return record

    async def flush(self, connection: Connection) -> None:
        """Write what has changed."""
        if not self._changed:
            return
        changed = [(name, self._records[name]) for name in sorted(self._changed)]
        await connection.execute(
            _PUT,
            [name[0] for name, _ in changed],
            [name[1] for name, _ in changed],
            [record.request for _, record in changed],
            [record.upload_id for _, record in changed],
            [record.expires_at for _, record in changed],
            [record.answer for _, record in changed],
        )


def _name_of(intent: UploadIntent) -> _Name | None:
    key = intent.idempotency
    return None if key is None else (intent.new.tenant_id, key.text)


def _record_of(row: Any) -> _Record:
    return _Record(
        row["request"],
        ObjectId(row["upload_id"]),
        row["expires_at"],
        is_answered=row["answered"],
    )
