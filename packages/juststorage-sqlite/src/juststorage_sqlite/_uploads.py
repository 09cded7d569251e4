"""The steps of an upload, as functions of a transaction. `ObjectRepository` has their contracts."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from msgspec.structs import replace

from juststorage.domain import Locator, ObjectId, StoredObject
from juststorage.errors import InvalidState, UploadExpired
from juststorage.ports import Committed, Content, Lease, Reservation, UploadIntent
from juststorage_sqlite._idempotency import claim, keep_answer
from juststorage_sqlite._moves import (
    Holder,
    abandon,
    check_conditions,
    check_key_free,
    confirm,
    delete_object,
    find_holder,
    hold,
    locator_of_durable,
)
from juststorage_sqlite._rows import LOCATED, object_of
from juststorage_sqlite._times import from_micros, micros

__all__ = ["abort", "begin", "begin_reserved", "commit", "renew", "reserve", "reserved"]

_FIRST_EPOCH: Final = 1


def begin(db: sqlite3.Connection, now: int, intent: UploadIntent, lease_s: float) -> Lease:
    """WRITING, without content."""
    claim(db, now, intent)
    _check_begin(db, now, intent)
    begun = StoredObject.begin(intent.new, from_micros(now))
    _insert(db, now, intent, begun, now + micros(lease_s))
    return Lease(intent=intent, object=begun, epoch=_FIRST_EPOCH)


def begin_reserved(
    db: sqlite3.Connection, now: int, intent: UploadIntent, content: Content, lease_s: float
) -> Reservation | Committed:
    """WRITING with its reference, or COMMITTED where nothing is left to do."""
    new = intent.new
    claim(db, now, intent)
    holder = _check_begin(db, now, intent)
    locator = hold(db, now, content, new.storage_class)
    begun = StoredObject.begin(new, from_micros(now)).with_content(
        content.content_hash, content.size_bytes
    )
    if locator is None:
        _insert(db, now, intent, begun, now + micros(lease_s))
        lease = Lease(intent=intent, object=begun, epoch=_FIRST_EPOCH)
        return Reservation(lease, None)
    replaced = _displace(db, now, holder)
    committed = begun.commit(locator, begun.updated_at)
    _insert(db, now, intent, committed, None)
    answer = Committed(committed, replaced)
    keep_answer(db, now, intent, answer)
    return answer


def _check_begin(db: sqlite3.Connection, now: int, intent: UploadIntent) -> Holder | None:
    """Conditions, then the key.

    Returns:
        The key's holder as far as a replacing upload must displace it.
    """
    new = intent.new
    holder = find_holder(db, new.tenant_id, new.namespace, new.key)
    check_conditions(intent.conditions, None if holder is None else holder.current)
    if not intent.replace:
        check_key_free(db, now, holder)
        return None
    return holder


_INSERT: Final = (
    "INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash,"
    " size_bytes, content_type, metadata, created_at, updated_at, blob_hash, claims_key,"
    " lease_expires_at, lease_epoch)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?7, ?12, ?13, ?14)"
    " ON CONFLICT (id) DO NOTHING"
)


def _insert(
    db: sqlite3.Connection,
    now: int,
    intent: UploadIntent,
    each: StoredObject,
    lease_expires_at: int | None,
) -> None:
    claims_key = each.key is not None and not intent.replace
    inserted = db.execute(
        _INSERT,
        (
            each.id,
            each.namespace,
            each.tenant_id,
            each.key,
            each.status,
            each.storage_class,
            each.content_hash,
            each.size_bytes,
            each.content_type,
            each.metadata.encoded.decode(),
            now,
            claims_key,
            lease_expires_at,
            _FIRST_EPOCH,
        ),
    )
    if inserted.rowcount == 0:
        raise InvalidState("there is an object with this id already")


def _displace(db: sqlite3.Connection, now: int, holder: Holder | None) -> ObjectId | None:
    """Make room for a replacing upload.

    Returns:
        The COMMITTED object that held the key until now.
    """
    if holder is None:
        return None
    if holder.lease_expires_at is not None:
        # The other upload stays as it is, but for the key: its commit finds the claim gone.
        db.execute("UPDATE objects SET claims_key = 0 WHERE id = ?", (holder.id,))
        return None
    assert holder.content_hash is not None
    delete_object(db, now, holder.id, holder.content_hash, holder.storage_class)
    return holder.id


# -- with a lease -----------------------------------------------------------------------------

_LEASED: Final = (
    "SELECT blob_hash, claims_key FROM objects"
    " WHERE id = ? AND status = 'WRITING' AND lease_epoch = ?"
)


def _leased(db: sqlite3.Connection, lease: Lease) -> Any:
    """The upload's (blob_hash, claims_key), if the lease is still its lease."""
    row = db.execute(_LEASED, (lease.object.id, lease.epoch)).fetchone()
    if row is None:
        raise UploadExpired("the upload lost its lease")
    return row


def reserve(db: sqlite3.Connection, now: int, lease: Lease, content: Content) -> Reservation:
    """Count on the blob."""
    reserved_before = _leased(db, lease)[0]
    if reserved_before is None:
        locator = hold(db, now, content, lease.object.storage_class)
        db.execute(
            "UPDATE objects SET content_hash = ?2, blob_hash = ?2, size_bytes = ?3 WHERE id = ?1",
            (lease.object.id, content.content_hash, content.size_bytes),
        )
    elif reserved_before == content.content_hash:
        locator = locator_of_durable(db, content, lease.object.storage_class)
    else:
        raise InvalidState("the upload has reserved other content")
    held = lease.object.with_content(content.content_hash, content.size_bytes)
    return Reservation(replace(lease, object=held), locator)


def reserved(db: sqlite3.Connection, lease: Lease) -> Any:
    """The same, once its content is reserved."""
    row = _leased(db, lease)
    if row[0] is None:
        raise InvalidState("the upload has not reserved its content")
    return row


_COMMIT: Final = (
    "UPDATE objects SET status = 'COMMITTED', lease_expires_at = NULL, updated_at = ?2"
    " WHERE id = ?1"
)


def commit(db: sqlite3.Connection, now: int, lease: Lease, locator: Locator) -> Committed:
    """WRITING -> COMMITTED, and the key with it."""
    each = lease.object
    blob_hash, claims_key = reserved(db, lease)
    replaced = None
    if each.key is None:
        check_conditions(lease.intent.conditions, None)
    elif lease.intent.replace:
        holder = find_holder(db, each.tenant_id, each.namespace, each.key)
        check_conditions(lease.intent.conditions, None if holder is None else holder.current)
        replaced = _displace(db, now, holder)
    elif not claims_key:
        raise UploadExpired("another upload took the key")
    else:
        check_conditions(lease.intent.conditions, None)  # we hold the key: nothing is visible
    locator = confirm(db, now, blob_hash, each.storage_class, locator)
    db.execute(_COMMIT, (each.id, now))
    # A caller that kept the lease of `begin`, or whose answer is for others as well.
    if each.content_hash is None or lease.intent.idempotency is not None:
        committed = _located(db, each.id)
    else:
        committed = each.commit(locator, from_micros(now))
    answer = Committed(committed, replaced)
    keep_answer(db, now, lease.intent, answer)
    return answer


def _located(db: sqlite3.Connection, object_id: ObjectId) -> StoredObject:
    return object_of(db.execute(f"{LOCATED} WHERE o.id = ?", (object_id,)).fetchone())


def renew(db: sqlite3.Connection, now: int, lease: Lease, lease_s: float) -> None:
    """A new end of the lease."""
    renewed = db.execute(
        "UPDATE objects SET lease_expires_at = ?3"
        " WHERE id = ?1 AND status = 'WRITING' AND lease_epoch = ?2",
        (lease.object.id, lease.epoch, now + micros(lease_s)),
    )
    if renewed.rowcount == 0:
        raise UploadExpired("the upload lost its lease")


def abort(db: sqlite3.Connection, now: int, lease: Lease) -> None:
    """WRITING -> DELETED, if the lease is still its lease."""
    if db.execute(_LEASED, (lease.object.id, lease.epoch)).fetchone() is not None:
        abandon(db, now, [lease.object.id])
