"""Changes, deletes and housekeeping of objects, as functions of a transaction."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from juststorage.domain import (
    Change,
    Conditions,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    StoredObject,
    TenantId,
)
from juststorage.errors import NotFound
from juststorage_sqlite._moves import (
    check_conditions,
    check_key_free,
    delete_object,
    find_holder,
)
from juststorage_sqlite._rows import LOCATED, names_json, object_ids_of, object_of, strings_of
from juststorage_sqlite._times import from_micros, micros

__all__ = [
    "bury",
    "delete",
    "delete_by_key",
    "delete_many",
    "expired",
    "purge_tombstones",
    "reap",
    "to_bury",
    "update",
    "visible",
]

_BY_ID: Final = f"{LOCATED} WHERE o.id = ? AND o.tenant_id = ? AND o.status = 'COMMITTED'"
_BY_KEY: Final = (
    f"{LOCATED} WHERE o.tenant_id = ? AND o.namespace = ? AND o.key = ? AND o.status = 'COMMITTED'"
)


def visible(
    db: sqlite3.Connection, tenant_id: TenantId, object_id: ObjectId, conditions: Conditions
) -> StoredObject:
    """The tenant's COMMITTED object, for which the conditions hold."""
    row = db.execute(_BY_ID, (object_id, tenant_id)).fetchone()
    if row is None:
        raise NotFound("there is no such object")
    found = object_of(row)
    check_conditions(conditions, found.content_hash)
    return found


_UPDATE: Final = (
    "UPDATE objects SET key = ?2, content_type = ?3, metadata = ?4, updated_at = ?5 WHERE id = ?1"
)


def update(
    db: sqlite3.Connection,
    now: int,
    tenant_id: TenantId,
    object_id: ObjectId,
    change: Change,
    *,
    conditions: Conditions,
) -> StoredObject:
    """Key, content type, metadata."""
    before = visible(db, tenant_id, object_id, conditions)
    metadata = change.merged(before.metadata)
    key = before.key if change.key is UNSET else change.key
    if key != before.key:
        check_key_free(db, now, find_holder(db, tenant_id, before.namespace, key))
    content_type = before.content_type if change.content_type is UNSET else change.content_type
    db.execute(_UPDATE, (object_id, key, content_type, metadata.encoded.decode(), now))
    return replace(
        before,
        key=key,
        content_type=content_type,
        metadata=metadata,
        updated_at=from_micros(now),
    )


# -- delete -----------------------------------------------------------------------------------


def delete(
    db: sqlite3.Connection,
    now: int,
    tenant_id: TenantId,
    object_id: ObjectId,
    conditions: Conditions,
) -> StoredObject:
    """COMMITTED -> DELETING by id."""
    return _delete(db, now, visible(db, tenant_id, object_id, conditions))


def delete_by_key(
    db: sqlite3.Connection,
    now: int,
    tenant_id: TenantId,
    namespace: Namespace,
    key: ObjectKey,
    *,
    conditions: Conditions,
) -> StoredObject:
    """COMMITTED -> DELETING by key."""
    row = db.execute(_BY_KEY, (tenant_id, namespace, key)).fetchone()
    found = None if row is None else object_of(row)
    check_conditions(conditions, None if found is None else found.content_hash)
    if found is None:
        raise NotFound("nothing holds the key")
    return _delete(db, now, found)


def _delete(db: sqlite3.Connection, now: int, found: StoredObject) -> StoredObject:
    assert found.content_hash is not None
    delete_object(db, now, found.id, found.content_hash, found.storage_class)
    return found.delete(from_micros(now))


# -- many at once: few large statements, see `_rows.json_rows` -----------------------------------

# CROSS JOIN keeps the order of the tables: from the ids to their rows.
_COMMITTED_OF: Final = (
    "SELECT json_group_array(o.id) FROM json_each(?2) AS ids CROSS JOIN objects AS o"
    " ON o.id = ids.value WHERE o.tenant_id = ?1 AND o.status = 'COMMITTED'"
    " AND (?3 IS NULL OR EXISTS"
    " (SELECT 1 FROM json_each(?3) AS n WHERE o.namespace GLOB n.value))"
)
_RELEASE_MANY: Final = (
    "UPDATE blobs SET ref_count = ref_count - held.count, last_used_at = ?2,"
    " zero_since = CASE ref_count WHEN held.count THEN ?2 ELSE zero_since END"
    " FROM (SELECT o.blob_hash, o.storage_class, count(*) AS count"
    " FROM json_each(?1) AS ids CROSS JOIN objects AS o ON o.id = ids.value"
    " WHERE o.blob_hash IS NOT NULL GROUP BY o.blob_hash, o.storage_class) AS held"
    " WHERE blobs.content_hash = held.blob_hash AND blobs.storage_class = held.storage_class"
)
_DELETE_MANY: Final = (
    "UPDATE objects SET status = 'DELETING', blob_hash = NULL, updated_at = ?2"
    " WHERE id IN (SELECT value FROM json_each(?1))"
)


def delete_many(
    db: sqlite3.Connection,
    now: int,
    tenant_id: TenantId,
    object_ids: Sequence[ObjectId],
    namespaces: Collection[NamespacePattern] | None,
) -> set[ObjectId]:
    """COMMITTED -> DELETING of those that are there."""
    (ids,) = db.execute(
        _COMMITTED_OF,
        (
            tenant_id,
            names_json(set(object_ids)),
            None if namespaces is None else names_json(namespaces),
        ),
    ).fetchone()
    db.execute(_RELEASE_MANY, (ids, now))
    db.execute(_DELETE_MANY, (ids, now))
    return set(object_ids_of(strings_of(ids)))


_EXPIRED: Final = (
    "SELECT json_group_array(id) FROM (SELECT id FROM objects"
    " WHERE status = 'WRITING' AND lease_expires_at <= ? ORDER BY lease_expires_at LIMIT ?)"
)
_ABANDON_MANY: Final = (
    "UPDATE objects SET status = 'DELETED', blob_hash = NULL, claims_key = 0,"
    " lease_expires_at = NULL, lease_epoch = lease_epoch + 1, updated_at = ?2"
    " WHERE id IN (SELECT value FROM json_each(?1))"
)


def reap(db: sqlite3.Connection, now: int, limit: int) -> list[ObjectId]:
    """End the uploads whose lease is over, those that are over longest first."""
    (ids,) = db.execute(_EXPIRED, (now, limit)).fetchone()
    reaped = object_ids_of(strings_of(ids))
    if reaped:
        db.execute(_RELEASE_MANY, (ids, now))
        db.execute(_ABANDON_MANY, (ids, now))
    return reaped


def expired(db: sqlite3.Connection, now: int, older_than_s: float, limit: int) -> list[ObjectId]:
    """The uploads that `reap` should have ended that long ago."""
    (ids,) = db.execute(_EXPIRED, (now - micros(older_than_s), limit)).fetchone()
    return object_ids_of(strings_of(ids))


_LIVES_ON: Final = (
    "objects o LEFT JOIN blobs b"
    " ON b.content_hash = o.content_hash AND b.storage_class = o.storage_class"
    " WHERE o.status = 'DELETING' AND (b.content_hash IS NULL OR b.ref_count > 0)"
)
_TO_BURY: Final = f"SELECT json_group_array(id) FROM (SELECT o.id FROM {_LIVES_ON} LIMIT ?)"
_BURY: Final = (
    "UPDATE objects SET status = 'DELETED', updated_at = ?2 WHERE rowid IN"
    f" (SELECT o.rowid FROM {_LIVES_ON} AND o.id IN (SELECT value FROM json_each(?1)))"
)


def to_bury(db: sqlite3.Connection, limit: int) -> str:
    """Ids of DELETING objects that no removal of a blob will bury, as JSON.

    Looks at every DELETING object, those in their grace included, so it runs on a reader.
    """
    return str(db.execute(_TO_BURY, (limit,)).fetchone()[0])


def bury(db: sqlite3.Connection, now: int, ids: str) -> int:
    """DELETING -> DELETED, if what `to_bury` saw is still so."""
    return db.execute(_BURY, (ids, now)).rowcount


_PURGE: Final = (
    "DELETE FROM objects WHERE rowid IN (SELECT rowid FROM objects"
    " WHERE status = 'DELETED' AND updated_at <= ? ORDER BY updated_at LIMIT ?)"
)


def purge_tombstones(db: sqlite3.Connection, now: int, older_than_s: float, limit: int) -> int:
    """Forget old tombstones."""
    return db.execute(_PURGE, (now - micros(older_than_s), limit)).rowcount
