"""Rows into domain values.

What the database holds was checked when it came in, so values are built without being checked
again; every such shortcut is in this module.
"""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgspec

from juststorage.domain import (
    ApiKey,
    Blob,
    BlobKey,
    ContentHash,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectMetadata,
    ObjectStatus,
    Scope,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage_sqlite._times import EPOCH, from_micros

__all__ = [
    "API_KEY_COLUMNS",
    "BLOB_COLUMNS",
    "LOCATED",
    "OBJECT_COLUMNS",
    "api_key_of",
    "as_json",
    "blob_of",
    "blobs_and_holders_of",
    "blobs_of",
    "json_rows",
    "keys_json",
    "names_json",
    "object_ids_of",
    "object_of",
    "objects_of",
    "strings_of",
    "trusted",
]

TextT = TypeVar("TextT", bound=str)

OBJECT_COLUMNS: Final = (
    "o.id, o.namespace, o.tenant_id, o.key, o.status, o.storage_class, o.content_hash,"
    " o.size_bytes, o.content_type, o.metadata, o.created_at, o.updated_at"
)
"""Columns of `objects o`, in the order of `object_of`; a locator may follow."""

LOCATED: Final = (
    f"SELECT {OBJECT_COLUMNS}, b.locator FROM objects o LEFT JOIN blobs b"
    " ON b.content_hash = o.blob_hash AND b.storage_class = o.storage_class"
)
"""Objects with their blob's locator."""

BLOB_COLUMNS: Final = (
    "content_hash, storage_class, size_bytes, ref_count, locator, stored_at, zero_since,"
    " claimed_until, first_seen_at, last_used_at"
)

API_KEY_COLUMNS: Final = (
    "id, name, prefix, hashed, tenants, scopes, namespaces, created_at, expires_at,"
    " last_used_at, is_active"
)

_STATUS: Final[dict[str, ObjectStatus]] = {status.value: status for status in ObjectStatus}
_CLASS: Final[dict[str, StorageClass]] = {name.value: name for name in StorageClass}
_decode_rows: Final = msgspec.json.Decoder(list[list[Any]]).decode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode
# Names are subclasses of str, which msgspec leaves to the hook.
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def trusted(kind: type[TextT], text: str) -> TextT:
    """`kind(text)` without the check; only for text that `kind` has accepted before."""
    return str.__new__(kind, text)


def object_of(row: Any) -> StoredObject:
    """An object from `OBJECT_COLUMNS`, with or without a locator behind them."""
    key, content_hash, metadata, status = row[3], row[6], row[9], _STATUS[row[4]]
    return StoredObject(
        id=str.__new__(ObjectId, row[0]),
        namespace=str.__new__(Namespace, row[1]),
        tenant_id=str.__new__(TenantId, row[2]),
        key=None if key is None else str.__new__(ObjectKey, key),
        status=status,
        storage_class=_CLASS[row[5]],
        content_hash=None if content_hash is None else str.__new__(ContentHash, content_hash),
        size_bytes=row[7],
        content_type=row[8],
        metadata=(ObjectMetadata.EMPTY if metadata == "{}" else ObjectMetadata(metadata.encode())),
        created_at=EPOCH + timedelta(0, 0, row[10]),
        updated_at=EPOCH + timedelta(0, 0, row[11]),
        locator=row[12] if len(row) > 12 and status is ObjectStatus.COMMITTED else None,
    )


def object_ids_of(ids: list[str]) -> list[ObjectId]:
    """Ids that came from the id column."""
    return [str.__new__(ObjectId, text) for text in ids]


def blob_of(row: Any) -> Blob:
    """A blob from `BLOB_COLUMNS`."""
    return Blob(
        key=BlobKey(str.__new__(ContentHash, row[0]), _CLASS[row[1]]),
        size_bytes=row[2],
        ref_count=row[3],
        locator=row[4],
        stored_at=from_micros(row[5]),
        zero_since=from_micros(row[6]),
        claimed_until=from_micros(row[7]),
        first_seen_at=from_micros(row[8]),
        last_used_at=from_micros(row[9]),
    )


def api_key_of(row: Any) -> ApiKey:
    """A key from `API_KEY_COLUMNS`."""
    tenants, namespaces = row[4], row[6]
    return ApiKey(
        id=row[0],
        name=row[1],
        prefix=row[2],
        hashed=row[3],
        tenants=(
            None
            if tenants is None
            else frozenset(str.__new__(TenantId, name) for name in _decode_names(tenants))
        ),
        scopes=frozenset(Scope(name) for name in _decode_names(row[5])),
        namespaces=(
            None
            if namespaces is None
            else frozenset(
                str.__new__(NamespacePattern, name) for name in _decode_names(namespaces)
            )
        ),
        created_at=from_micros(row[7]),
        expires_at=from_micros(row[8]),
        last_used_at=from_micros(row[9]),
        is_active=bool(row[10]),
    )


def as_json(value: Any) -> str:
    """Names, or sequences of names, as JSON for `json_each(?)`."""
    return _encode(value).decode()


def names_json(names: Any) -> str:
    """Names as a JSON array in order, for a column or for `json_each(?)`."""
    return _encode(sorted(names)).decode()


def json_rows(columns: str, source: str) -> str:
    """A statement whose answer is one row with one JSON array of rows.

    Every step of a statement gives up the interpreter lock and must win it back, so a thread that
    fetches row by row stands still between rows while the event loop is busy. One row is one step.
    """
    return f"SELECT json_group_array(json_array({columns})) FROM ({source})"


def objects_of(text: str) -> list[StoredObject]:
    """What `json_rows` answered, rows being those of `object_of`."""
    return [object_of(row) for row in _decode_rows(text)]


def blobs_of(text: str) -> list[Blob]:
    """What `json_rows` answered, rows being those of `blob_of`."""
    return [blob_of(row) for row in _decode_rows(text)]


def blobs_and_holders_of(text: str) -> list[tuple[Blob, int]]:
    """As `blobs_of`, each with the number behind its columns."""
    return [(blob_of(row), row[-1]) for row in _decode_rows(text)]


def keys_json(keys: Iterable[BlobKey]) -> str:
    """Keys as a JSON array of pairs, in the order in which their rows are locked (R08)."""
    return _encode([(key.content_hash, key.storage_class) for key in sorted(set(keys))]).decode()


def strings_of(text: str) -> list[str]:
    """A JSON array of strings, as SQLite made it."""
    return _decode_names(text)
