"""Records of a backup on their way back into the tables, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]
import msgspec

from juststorage.domain import ApiKey, StoredObject
from juststorage.errors import InvalidState
from juststorage.ports import AuditEvent, Record, SavedAnswer, SavedBlob
from juststorage_postgres._api_keys import texts
from juststorage_postgres._pool import Connection

__all__ = ["put_back"]

RecordT = TypeVar("RecordT")

# What a service made of its configured key before anything was put back.
_NAMESAKES: Final = """
DELETE FROM api_keys WHERE hashed = ANY ($1::bytea[]) AND id <> ALL ($2::text[])"""

_API_KEY: Final = """
INSERT INTO api_keys (
    id, name, prefix, hashed, tenants, scopes, namespaces,
    created_at, expires_at, last_used_at, is_active
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO NOTHING"""

# One statement for all, here and with objects: usage is counted once for each statement.
_BLOBS: Final = """
INSERT INTO blobs (
    content_hash, storage_class, size_bytes, ref_count, locator, stored_at, first_seen_at,
    last_used_at
)
SELECT
    content_hash, storage_class, size_bytes, ref_count, locator,
    CASE WHEN locator IS NOT NULL THEN clock_timestamp() END, first_seen_at, last_used_at
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[],
    $7::timestamptz[]
) AS r (
    content_hash, storage_class, size_bytes, ref_count, locator, first_seen_at, last_used_at
)
ON CONFLICT (content_hash, storage_class) DO UPDATE SET
    size_bytes = excluded.size_bytes, ref_count = excluded.ref_count,
    locator = coalesce(excluded.locator, blobs.locator),
    stored_at = coalesce(excluded.stored_at, blobs.stored_at),
    zero_since = NULL, claimed_until = NULL,
    first_seen_at = excluded.first_seen_at, last_used_at = excluded.last_used_at"""

_OBJECTS: Final = """
INSERT INTO objects (
    id, namespace, tenant_id, key, status, storage_class, content_hash, size_bytes, content_type,
    metadata, created_at, updated_at, blob_hash, claims_key, lease_epoch
)
SELECT
    id::uuid, namespace, tenant_id, key, 'COMMITTED', storage_class, content_hash, size_bytes,
    content_type, metadata::json, created_at, updated_at, content_hash, false, 0
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[]
) AS r (
    id, namespace, tenant_id, key, storage_class, content_hash, size_bytes, content_type, metadata,
    created_at, updated_at
)
ON CONFLICT (id) DO NOTHING"""

_ANSWER: Final = """
INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)
VALUES ($1, $2, $3, $4::text::uuid, $5, $6) ON CONFLICT (tenant_id, key) DO NOTHING"""

_EVENT: Final = """
INSERT INTO audit_events
    (id, at, action, subject, request_id, tenant_id, namespace, target, details)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING"""


async def put_back(connection: Connection, records: Sequence[Record]) -> None:
    """Insert what is not there; see `BackupRepository.restore`."""
    try:
        if keys := _only(ApiKey, records):
            hashes, ids = [each.hashed for each in keys], [each.id for each in keys]
            await connection.execute(_NAMESAKES, hashes, ids)
            await connection.executemany(_API_KEY, [_api_key(each) for each in keys])
        if blobs := _only(SavedBlob, records):
            await connection.execute(_BLOBS, *_columns([_blob(each) for each in blobs]))
        if objects := _only(StoredObject, records):
            await connection.execute(_OBJECTS, *_columns([_object(each) for each in objects]))
        if answers := _only(SavedAnswer, records):
            await connection.executemany(_ANSWER, [_answer(each) for each in answers])
        if events := _only(AuditEvent, records):
            await connection.executemany(_EVENT, [_event(each) for each in events])
    except asyncpg.IntegrityConstraintViolationError as error:
        raise InvalidState("a record of the backup contradicts another one") from error


def _only(kind: type[RecordT], records: Sequence[Record]) -> list[RecordT]:
    return [each for each in records if isinstance(each, kind)]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _api_key(each: ApiKey) -> tuple[Any, ...]:
    return (
        each.id,
        each.name,
        each.prefix,
        each.hashed,
        texts(each.tenants),
        texts(each.scopes),
        texts(each.namespaces),
        each.created_at,
        each.expires_at,
        each.last_used_at,
        each.is_active,
    )


def _blob(each: SavedBlob) -> tuple[Any, ...]:
    return (
        each.key.content_hash,
        each.key.storage_class,
        each.size_bytes,
        each.references,
        each.locator,
        each.first_seen_at,
        each.last_used_at,
    )


def _object(each: StoredObject) -> tuple[Any, ...]:
    return (
        each.id,
        each.namespace,
        each.tenant_id,
        each.key,
        each.storage_class,
        each.content_hash,
        each.size_bytes,
        each.content_type,
        each.metadata.encoded.decode(),
        each.created_at,
        each.updated_at,
    )


def _answer(each: SavedAnswer) -> tuple[Any, ...]:
    return (
        each.tenant_id,
        each.text,
        each.request,
        each.upload_id,
        each.expires_at,
        each.answer,
    )


def _event(each: AuditEvent) -> tuple[Any, ...]:
    return (
        each.id,
        each.at,
        each.action,
        each.subject,
        each.request_id,
        each.tenant_id,
        each.namespace,
        each.target,
        msgspec.json.encode(each.details).decode(),
    )
