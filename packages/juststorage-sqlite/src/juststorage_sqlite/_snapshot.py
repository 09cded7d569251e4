"""A snapshot: one read transaction, on a connection and a thread of its own."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Final

import anyio

from juststorage.domain import BlobKey, ContentHash, ObjectId, StorageClass, TenantId
from juststorage.errors import Unavailable
from juststorage.ports import Clock, Record, SavedAnswer, SavedBlob, Snapshot
from juststorage_sqlite._audit import EVENT_COLUMNS, event_of
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._errors import our_errors
from juststorage_sqlite._rows import (
    API_KEY_COLUMNS,
    OBJECT_COLUMNS,
    api_key_of,
    object_of,
    trusted,
)
from juststorage_sqlite._thread import DatabaseThread
from juststorage_sqlite._times import from_micros

__all__ = ["open_snapshot"]


async def open_snapshot(how: Connecting, clock: Clock) -> Snapshot:
    """The state as it is now."""
    thread = DatabaseThread("juststorage-sqlite-snapshot")
    with anyio.CancelScope(shield=True):
        await thread.__aenter__()
        try:
            db = await thread.run(lambda: _begun(how))
        except BaseException:
            await thread.__aexit__(None, None, None)
            raise
    return _SqliteSnapshot(thread, db, clock.now())


def _begun(how: Connecting) -> sqlite3.Connection:
    with our_errors():
        db = connect(how, read_only=True)
        try:
            db.execute("BEGIN")
            # A transaction is of the moment of its first look, not of its BEGIN.
            db.execute("SELECT 1 FROM objects LIMIT 1").fetchall()
        except BaseException:
            db.close()
            raise
    return db


class _SqliteSnapshot(Snapshot):
    def __init__(self, thread: DatabaseThread, db: sqlite3.Connection, taken_at: datetime) -> None:
        self.taken_at = taken_at
        self._thread: DatabaseThread | None = thread
        self._db = db
        self._records = _all(db)

    async def read(self, limit: int) -> Sequence[Record]:
        if self._thread is None:
            raise Unavailable("the snapshot is closed")
        return await self._thread.run_to_end(lambda: self._page(limit))

    def _page(self, limit: int) -> list[Record]:
        with our_errors():
            return list(islice(self._records, limit))

    async def aclose(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with anyio.CancelScope(shield=True):
            await thread.run(self._end)
            await thread.__aexit__(None, None, None)

    def _end(self) -> None:
        with suppress(sqlite3.Error):
            self._db.close()


_API_KEYS: Final = f"SELECT {API_KEY_COLUMNS} FROM api_keys ORDER BY id"
_BLOBS: Final = (
    "SELECT b.content_hash, b.storage_class, b.size_bytes, b.first_seen_at, b.last_used_at,"
    " (SELECT count(*) FROM objects o WHERE o.blob_hash = b.content_hash"
    " AND o.storage_class = b.storage_class AND o.status = 'COMMITTED') AS held"
    " FROM blobs b ORDER BY b.content_hash, b.storage_class"
)
_OBJECTS: Final = f"SELECT {OBJECT_COLUMNS} FROM objects o WHERE o.status = 'COMMITTED' ORDER BY id"
_ANSWERS: Final = (
    "SELECT tenant_id, key, request, upload_id, expires_at, answer FROM idempotency_keys"
    " WHERE answer IS NOT NULL ORDER BY tenant_id, key"
)
_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM audit_events ORDER BY id"


def _all(db: sqlite3.Connection) -> Iterator[Record]:
    yield from map(api_key_of, db.execute(_API_KEYS))
    for content_hash, storage_class, size_bytes, first, last, held in db.execute(_BLOBS):
        if held:
            yield SavedBlob(
                key=BlobKey(trusted(ContentHash, content_hash), StorageClass(storage_class)),
                size_bytes=size_bytes,
                references=held,
                first_seen_at=from_micros(first),
                last_used_at=from_micros(last),
            )
    yield from map(object_of, db.execute(_OBJECTS))
    for tenant_id, key, request, upload_id, expires_at, answer in db.execute(_ANSWERS):
        yield SavedAnswer(
            tenant_id=trusted(TenantId, tenant_id),
            text=key,
            request=request,
            upload_id=trusted(ObjectId, upload_id),
            expires_at=from_micros(expires_at),
            answer=answer,
        )
    yield from map(event_of, db.execute(_EVENTS))
