"""Moving an object to another storage class, as a function of a transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec.structs import replace

from juststorage.domain import UNCHANGED, Change, Conditions, Locator, ObjectId, StoredObject
from juststorage.errors import InvalidState
from juststorage.ports import Content, Lease
from juststorage_sqlite._changes import update, visible
from juststorage_sqlite._moves import abandon, confirm, hold, release
from juststorage_sqlite._times import from_micros
from juststorage_sqlite._uploads import reserved

__all__ = ["commit_move"]

_MOVE: Final = (
    "UPDATE objects SET storage_class = ?2, blob_hash = ?3, updated_at = ?4 WHERE id = ?1"
)


def commit_move(
    db: sqlite3.Connection,
    now: int,
    lease: Lease,
    locator: Locator,
    *,
    object_id: ObjectId,
    change: Change,
    conditions: Conditions,
) -> StoredObject:
    """Hand the upload's reference to the object, and release the one that it had."""
    upload = lease.object
    blob_hash, _ = reserved(db, lease)
    before = visible(db, upload.tenant_id, object_id, conditions)
    if before.content_hash != blob_hash:
        raise InvalidState("the object has other content than the upload")
    changed = before
    if change != UNCHANGED:
        changed = update(db, now, upload.tenant_id, object_id, change, conditions=conditions)
    locator = confirm(db, now, blob_hash, upload.storage_class, locator)
    # Ending the upload releases a reference, so the object takes one of its own first.
    assert before.content_hash is not None and before.size_bytes is not None
    hold(db, now, Content(before.content_hash, before.size_bytes), upload.storage_class)
    db.execute(_MOVE, (object_id, upload.storage_class, blob_hash, now))
    release(db, now, blob_hash, before.storage_class)
    abandon(db, now, [upload.id])
    return replace(
        changed, storage_class=upload.storage_class, locator=locator, updated_at=from_micros(now)
    )
