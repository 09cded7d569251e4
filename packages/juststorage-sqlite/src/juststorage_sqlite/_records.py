"""Records of a backup on their way back into the tables, as a function of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from juststorage.domain import ApiKey, StoredObject
from juststorage.errors import InvalidState
from juststorage.ports import AuditEvent, Record, SavedAnswer, SavedBlob
from juststorage_sqlite._api_keys import api_key_values
from juststorage_sqlite._rows import API_KEY_COLUMNS
from juststorage_sqlite._times import to_micros

__all__ = ["put_back"]

# What a service made of its configured key before anything was put back.
_NAMESAKE: Final = "DELETE FROM api_keys WHERE hashed = ? AND id <> ?"
_API_KEY: Final = (
    f"INSERT INTO api_keys ({API_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT (id) DO NOTHING"
)
_BLOB: Final = (
    "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, stored_at,"
    " first_seen_at, last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (content_hash, storage_class) DO UPDATE SET"
    " size_bytes = excluded.size_bytes, ref_count = excluded.ref_count,"
    " locator = coalesce(excluded.locator, locator),"
    " stored_at = coalesce(excluded.stored_at, stored_at),"
    " zero_since = NULL, claimed_until = NULL,"
    " first_seen_at = excluded.first_seen_at, last_used_at = excluded.last_used_at"
)
_OBJECT: Final = (
    "INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash,"
    " size_bytes, content_type, metadata, created_at, updated_at, blob_hash, claims_key,"
    " lease_epoch) VALUES (?1, ?2, ?3, ?4, 'COMMITTED', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?6, 0, 0)"
    " ON CONFLICT (id) DO NOTHING"
)
_ANSWER: Final = (
    "INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, key) DO NOTHING"
)
_EVENT: Final = (
    "INSERT INTO audit_events (id, at, action, subject, request_id, tenant_id, namespace, target,"
    " details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)


def put_back(db: sqlite3.Connection, now: int, records: Sequence[Record]) -> None:
    """Insert what is not there; see `BackupRepository.restore`."""
    try:
        # All of them first: of two records with one hash, the second is refused.
        for record in records:
            if isinstance(record, ApiKey):
                db.execute(_NAMESAKE, (record.hashed, record.id))
        for record in records:
            statement, values = _row(record, now)
            db.execute(statement, values)
    except sqlite3.IntegrityError as error:
        raise InvalidState("a record of the backup contradicts another one") from error


def _row(record: Record, now: int) -> tuple[str, tuple[Any, ...]]:
    if isinstance(record, StoredObject):
        return _OBJECT, (
            record.id,
            record.namespace,
            record.tenant_id,
            record.key,
            record.storage_class,
            record.content_hash,
            record.size_bytes,
            record.content_type,
            record.metadata.encoded.decode(),
            to_micros(record.created_at),
            to_micros(record.updated_at),
        )
    if isinstance(record, SavedBlob):
        return _BLOB, (
            record.key.content_hash,
            record.key.storage_class,
            record.size_bytes,
            record.references,
            record.locator,
            None if record.locator is None else now,
            to_micros(record.first_seen_at),
            None if record.last_used_at is None else to_micros(record.last_used_at),
        )
    if isinstance(record, ApiKey):
        return _API_KEY, api_key_values(record, to_micros(record.created_at))
    if isinstance(record, SavedAnswer):
        return _ANSWER, (
            record.tenant_id,
            record.text,
            record.request,
            record.upload_id,
            to_micros(record.expires_at),
            record.answer,
        )
    assert isinstance(record, AuditEvent)
    return _EVENT, (
        record.id,
        to_micros(record.at),
        record.action,
        record.subject,
        record.request_id,
        record.tenant_id,
        record.namespace,
        record.target,
        msgspec.json.encode(record.details).decode(),
    )
