"""The object repository: which step runs where."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from juststorage.domain import (
    UNCHANGED,
    UNCONDITIONAL,
    BlobKey,
    Change,
    Conditions,
    Locator,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    Page,
    Query,
    StoredObject,
    TenantId,
)
from juststorage.plugins import Gatherer
from juststorage.ports import (
    Clock,
    Committed,
    Content,
    Lease,
    ObjectRepository,
    Reservation,
    UploadIntent,
)
from juststorage_sqlite import _changes, _moving, _uploads
from juststorage_sqlite._lookups import ByKey
from juststorage_sqlite._pages import page
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._rows import LOCATED, names_json, object_ids_of, object_of, strings_of
from juststorage_sqlite._times import to_micros
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteObjectRepository"]


class SqliteObjectRepository(ObjectRepository):
    """See `ObjectRepository`."""

    def __init__(
        self,
        clock: Clock,
        writer: Writer,
        reader: Reader,
        lookups: Gatherer[tuple[TenantId, ObjectId] | ByKey, StoredObject | None],
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._lookups = lookups

    # -- upload -------------------------------------------------------------------------------

    async def begin(self, intent: UploadIntent, *, lease_s: float) -> Lease:
        return await self._writer.run(
            self._writer.adding(lambda db, now: _uploads.begin(db, now, intent, lease_s))
        )

    async def reserve(self, lease: Lease, content: Content) -> Reservation:
        return await self._writer.run(
            self._writer.adding(lambda db, now: _uploads.reserve(db, now, lease, content))
        )

    async def begin_reserved(
        self, intent: UploadIntent, content: Content, *, lease_s: float
    ) -> Reservation | Committed:
        return await self._writer.run(
            self._writer.adding(
                lambda db, now: _uploads.begin_reserved(db, now, intent, content, lease_s)
            )
        )

    async def commit(self, lease: Lease, locator: Locator) -> Committed:
        return await self._writer.run(lambda db, now: _uploads.commit(db, now, lease, locator))

    async def renew(self, lease: Lease, *, lease_s: float) -> None:
        await self._writer.run(lambda db, now: _uploads.renew(db, now, lease, lease_s))

    async def abort(self, lease: Lease) -> None:
        await self._writer.run(lambda db, now: _uploads.abort(db, now, lease))

    # -- read ---------------------------------------------------------------------------------

    async def find(self, tenant_id: TenantId, object_id: ObjectId) -> StoredObject | None:
        return await self._lookups.submit((tenant_id, object_id))

    async def find_by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> StoredObject | None:
        return await self._lookups.submit((tenant_id, namespace, key))

    async def page(self, query: Query) -> Page:
        return await self._reader.run(lambda db: page(db, query))

    # -- change and delete --------------------------------------------------------------------

    async def update(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        change: Change,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        return await self._writer.run(
            self._writer.adding(
                lambda db, now: _changes.update(
                    db, now, tenant_id, object_id, change, conditions=conditions
                )
            )
        )

    async def commit_move(
        self,
        lease: Lease,
        locator: Locator,
        *,
        object_id: ObjectId,
        change: Change = UNCHANGED,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        return await self._writer.run(
            lambda db, now: _moving.commit_move(
                db,
                now,
                lease,
                locator,
                object_id=object_id,
                change=change,
                conditions=conditions,
            )
        )

    async def delete(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        return await self._writer.run(
            lambda db, now: _changes.delete(db, now, tenant_id, object_id, conditions)
        )

    async def delete_by_key(
        self,
        tenant_id: TenantId,
        namespace: Namespace,
        key: ObjectKey,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        return await self._writer.run(
            lambda db, now: _changes.delete_by_key(
                db, now, tenant_id, namespace, key, conditions=conditions
            )
        )

    async def delete_many(
        self,
        tenant_id: TenantId,
        object_ids: Sequence[ObjectId],
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> set[ObjectId]:
        return await self._writer.run_alone(
            lambda db, now: _changes.delete_many(db, now, tenant_id, object_ids, namespaces)
        )

    # -- housekeeping -------------------------------------------------------------------------

    async def reap(self, *, limit: int) -> list[ObjectId]:
        return await self._writer.run_alone(lambda db, now: _changes.reap(db, now, limit))

    async def expired(self, *, older_than_s: float, limit: int) -> list[ObjectId]:
        now = to_micros(self._clock.now())
        return await self._reader.run(lambda db: _changes.expired(db, now, older_than_s, limit))

    async def live_uploads(self, upload_ids: Sequence[ObjectId]) -> set[ObjectId]:
        return await self._reader.run(lambda db: _live_uploads(db, upload_ids))

    async def bury(self, *, limit: int) -> int:
        ids = await self._reader.run(lambda db: _changes.to_bury(db, limit))
        if ids == "[]":
            return 0
        return await self._writer.run_alone(lambda db, now: _changes.bury(db, now, ids))

    async def purge_tombstones(self, *, older_than_s: float, limit: int) -> int:
        return await self._writer.run_alone(
            lambda db, now: _changes.purge_tombstones(db, now, older_than_s, limit)
        )

    async def holders(self, key: BlobKey, *, limit: int) -> list[StoredObject]:
        return await self._reader.run(lambda db: _holders(db, key, limit))

    async def scan(self, *, after: ObjectId | None, limit: int) -> list[StoredObject]:
        return await self._reader.run(lambda db: _scan(db, after, limit))


_HOLDERS: Final = (
    f"{LOCATED} WHERE o.blob_hash = ?1 AND o.storage_class = ?2 AND o.status = 'COMMITTED'"
    " ORDER BY o.id LIMIT ?3"
)


def _holders(db: sqlite3.Connection, key: BlobKey, limit: int) -> list[StoredObject]:
    rows = db.execute(_HOLDERS, (key.content_hash, key.storage_class, limit))
    return [object_of(row) for row in rows]


def _live_uploads(db: sqlite3.Connection, upload_ids: Sequence[ObjectId]) -> set[ObjectId]:
    (ids,) = db.execute(
        "SELECT json_group_array(id) FROM objects"
        " WHERE id IN (SELECT value FROM json_each(?)) AND status = 'WRITING'",
        (names_json(upload_ids),),
    ).fetchone()
    return set(object_ids_of(strings_of(ids)))


def _scan(db: sqlite3.Connection, after: ObjectId | None, limit: int) -> list[StoredObject]:
    rows = db.execute(f"{LOCATED} WHERE o.id > ? ORDER BY o.id LIMIT ?", (after or "", limit))
    return [object_of(row) for row in rows]
