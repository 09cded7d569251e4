"""The moves that every step is made of: holding and releasing a blob, ending an upload, a key.

Each takes the connection of a transaction under way and the time in microseconds. A count and the
object that it counts change here, in the same function, and nowhere else.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from juststorage.domain import (
    Conditions,
    ContentHash,
    Locator,
    Namespace,
    ObjectId,
    ObjectKey,
    StorageClass,
    TenantId,
)
from juststorage.errors import Corrupt, KeyConflict, PreconditionFailed
from juststorage.ports import Content
from juststorage_sqlite._rows import trusted

__all__ = [
    "Holder",
    "abandon",
    "check_conditions",
    "check_key_free",
    "confirm",
    "delete_object",
    "find_holder",
    "hold",
    "release",
]


class Holder(msgspec.Struct, frozen=True, gc=False):
    """Who holds a key: a COMMITTED object, or a WRITING one that claims it."""

    id: ObjectId
    content_hash: ContentHash | None
    storage_class: StorageClass
    lease_expires_at: int | None
    """Set while WRITING."""

    @property
    def current(self) -> ContentHash | None:
        """What clients see under the key."""
        return self.content_hash if self.lease_expires_at is None else None


_HOLDER: Final = (
    "SELECT id, content_hash, storage_class, lease_expires_at FROM objects"
    " WHERE tenant_id = ? AND namespace = ? AND key = ?"
    " AND (status = 'COMMITTED' OR (status = 'WRITING' AND claims_key = 1))"
)


def find_holder(
    db: sqlite3.Connection, tenant_id: TenantId, namespace: Namespace, key: ObjectKey | None
) -> Holder | None:
    """The key's holder; the unique index knows one at most."""
    if key is None:
        return None
    row = db.execute(_HOLDER, (tenant_id, namespace, key)).fetchone()
    if row is None:
        return None
    content_hash = None if row[1] is None else trusted(ContentHash, row[1])
    return Holder(trusted(ObjectId, row[0]), content_hash, StorageClass(row[2]), row[3])


def check_conditions(conditions: Conditions, current: ContentHash | None) -> None:
    """Refuse unless the conditions hold for what exists now."""
    if not conditions.hold_for(current):
        raise PreconditionFailed("the precondition does not hold")


def check_key_free(db: sqlite3.Connection, now: int, holder: Holder | None) -> None:
    """Refuse a key that is held; take it from an upload whose lease is over.

    Raises:
        KeyConflict: A live object holds it.
    """
    if holder is None:
        return
    if holder.lease_expires_at is not None and holder.lease_expires_at <= now:
        abandon(db, now, [holder.id])
        return
    raise KeyConflict(
        "a live object holds the key", object_id=holder.id, content_hash=holder.current
    )


# -- references -------------------------------------------------------------------------------

_HOLD: Final = (
    "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, first_seen_at,"
    " last_used_at) VALUES (?1, ?2, ?3, 1, ?4, ?4)"
    " ON CONFLICT (content_hash, storage_class) DO UPDATE SET ref_count = ref_count + 1,"
    " zero_since = NULL, claimed_until = NULL, last_used_at = ?4"
    " RETURNING size_bytes, stored_at, locator"
)


def hold(
    db: sqlite3.Connection, now: int, content: Content, storage_class: StorageClass
) -> Locator | None:
    """Count one more reference; the caller gives it to an object in the same transaction.

    Returns:
        Where the blob is durable already, or None.
    """
    row = db.execute(
        _HOLD, (content.content_hash, storage_class, content.size_bytes, now)
    ).fetchone()
    return _durable_at(row, content)


_DURABLE: Final = (
    "SELECT size_bytes, stored_at, locator FROM blobs"
    " WHERE content_hash = ?1 AND storage_class = ?2"
)


def locator_of_durable(
    db: sqlite3.Connection, content: Content, storage_class: StorageClass
) -> Locator | None:
    """As `hold`, for an object that has its reference."""
    row = db.execute(_DURABLE, (content.content_hash, storage_class)).fetchone()
    return _durable_at(row, content)


def _durable_at(row: tuple[int, int | None, Locator | None], content: Content) -> Locator | None:
    size_bytes, stored_at, locator = row
    if size_bytes != content.size_bytes:
        raise Corrupt("content of this hash is recorded with another size")
    return None if stored_at is None else locator


_RELEASE: Final = (
    "UPDATE blobs SET ref_count = ref_count - 1, last_used_at = ?3,"
    " zero_since = CASE ref_count WHEN 1 THEN ?3 ELSE zero_since END"
    " WHERE content_hash = ?1 AND storage_class = ?2"
)


def release(db: sqlite3.Connection, now: int, content_hash: str, storage_class: str) -> None:
    """Count one reference less; the caller has taken it from an object."""
    db.execute(_RELEASE, (content_hash, storage_class, now))


_CONFIRM: Final = (
    "UPDATE blobs SET stored_at = coalesce(stored_at, ?3),"
    " locator = CASE WHEN stored_at IS NULL THEN ?4 ELSE locator END"
    " WHERE content_hash = ?1 AND storage_class = ?2 RETURNING locator"
)


def confirm(
    db: sqlite3.Connection, now: int, content_hash: str, storage_class: str, locator: Locator
) -> Locator:
    """Record the blob durable, unless another upload of the same bytes did so first.

    Returns:
        Where it is.
    """
    (stored,) = db.execute(_CONFIRM, (content_hash, storage_class, now, locator)).fetchone()
    return str(stored)


# -- ends -------------------------------------------------------------------------------------

_DELETE: Final = (
    "UPDATE objects SET status = 'DELETING', blob_hash = NULL, updated_at = ?2 WHERE id = ?1"
)


def delete_object(
    db: sqlite3.Connection, now: int, object_id: str, content_hash: str, storage_class: str
) -> None:
    """COMMITTED -> DELETING of an object that is known to be COMMITTED; its reference goes."""
    db.execute(_DELETE, (object_id, now))
    release(db, now, content_hash, storage_class)


_HELD: Final = (
    "SELECT blob_hash, storage_class FROM objects"
    " WHERE id = ? AND status = 'WRITING' AND blob_hash IS NOT NULL"
)
_ABANDON: Final = (
    "UPDATE objects SET status = 'DELETED', blob_hash = NULL, claims_key = 0,"
    " lease_expires_at = NULL, lease_epoch = lease_epoch + 1, updated_at = ?2"
    " WHERE id = ?1 AND status = 'WRITING'"
)


def abandon(db: sqlite3.Connection, now: int, upload_ids: list[ObjectId]) -> None:
    """End uploads: WRITING -> DELETED, key and reference released, epoch + 1."""
    for upload_id in upload_ids:
        held = db.execute(_HELD, (upload_id,)).fetchone()
        db.execute(_ABANDON, (upload_id, now))
        if held is not None:
            release(db, now, held[0], held[1])
