"""Work: one transaction of several statements, for everything that needs a look before it acts.

    lock the keys      those that are asked for, by number
    lock the objects   those asked for, and those that hold the keys asked for, in the order of ids
    lock the blobs     all that these objects hold, and those asked for, in the order of BlobKey
    decide             in Python, on rows that nobody else can change
    flush              blobs, then objects that let go of keys, then objects that take them

Every statement begins after the locks before it are held, so under READ COMMITTED it sees what they
protect. The keys are locked so that those who want one of them queue for it here. To queue for the
row of its holder instead would be in vain: once that is free it is no longer the holder, and the
snapshot from before the wait does not have the next one.

Two things may still appear that no lock can hold, because they did not exist: an object that took
the key by a gathered statement, and a blob's row. The first is stopped by the unique index, and the
next attempt sees it; the second is counted up by the insert's ON CONFLICT.

This is the careful way. The gathered statements are the fast one for the common cases; whatever
they do not answer comes here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from juststorage.domain import (
    Blob,
    BlobKey,
    Locator,
    ObjectId,
    ObjectStatus,
    StorageClass,
    StoredObject,
)
from juststorage.errors import Corrupt
from juststorage.ports import Content
from juststorage_postgres._pool import Connection
from juststorage_postgres._rows import KeyName, ObjectRow, blob_of, object_row_of
from juststorage_postgres._schema import HELD, blobs, columns, objects

__all__ = ["Work"]

LOCK_KEYS: Final = """
SELECT pg_advisory_xact_lock(number) FROM (
    SELECT DISTINCT hashtextextended(concat_ws('/', tenant_id, namespace, key), 0) AS number
    FROM unnest($1::text[], $2::text[], $3::text[]) AS k (tenant_id, namespace, key)
    ORDER BY number
) AS numbers"""

# As in _statements: LATERAL with FOR UPDATE, so that whatever the planner believes of the tables,
# each row is found through its index, and locked in the order of the sorted list.
LOCK_OBJECTS: Final = f"""
SELECT {columns(objects, "o.")} FROM (
    SELECT i.id::uuid FROM unnest($1::text[]) AS i (id)
    UNION
    SELECT h.id FROM unnest($2::text[], $3::text[], $4::text[]) AS k (tenant_id, namespace, key)
    CROSS JOIN LATERAL (
        SELECT h.id FROM objects h
        WHERE h.tenant_id = k.tenant_id AND h.namespace = k.namespace AND h.key = k.key
            AND {HELD}
        OFFSET 0
    ) AS h
    ORDER BY id
) AS w CROSS JOIN LATERAL (SELECT * FROM objects o WHERE o.id = w.id FOR UPDATE) AS o"""  # noqa: S608

LOCK_BLOBS: Final = f"""
SELECT {columns(blobs, "b.")} FROM (
    SELECT * FROM unnest($1::text[], $2::text[]) AS k (content_hash, storage_class)
    ORDER BY content_hash COLLATE "C", storage_class COLLATE "C"
) AS k CROSS JOIN LATERAL (
    SELECT * FROM blobs b
    WHERE b.content_hash = k.content_hash AND b.storage_class = k.storage_class FOR UPDATE
) AS b"""  # noqa: S608

# Of locked rows: it never inserts.
UPDATE_BLOBS: Final = """
INSERT INTO blobs (
    content_hash, storage_class, size_bytes, ref_count, locator,
    stored_at, zero_since, claimed_until, first_seen_at, last_used_at
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[]
)
ON CONFLICT (content_hash, storage_class) DO UPDATE SET
    ref_count = excluded.ref_count, locator = excluded.locator, stored_at = excluded.stored_at,
    zero_since = excluded.zero_since, claimed_until = excluded.claimed_until,
    last_used_at = excluded.last_used_at"""

INSERT_BLOBS: Final = f"""
INSERT INTO blobs AS b
    (content_hash, storage_class, size_bytes, ref_count, first_seen_at, last_used_at)
SELECT i.content_hash, i.storage_class, i.size_bytes, i.ref_count, $5, $5
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    AS i (content_hash, storage_class, size_bytes, ref_count)
ORDER BY i.content_hash COLLATE "C", i.storage_class COLLATE "C"
ON CONFLICT (content_hash, storage_class) DO UPDATE SET
    ref_count = b.ref_count + excluded.ref_count, zero_since = NULL, claimed_until = NULL,
    last_used_at = excluded.last_used_at
RETURNING {columns(blobs, "b.")}"""  # noqa: S608

_OBJECT_ARRAYS: Final = """
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[],
    $14::boolean[], $15::timestamptz[], $16::bigint[]"""

UPDATE_OBJECTS: Final = f"""
UPDATE objects o SET
    key = i.key, status = i.status, storage_class = i.storage_class,
    content_hash = i.content_hash, size_bytes = i.size_bytes, content_type = i.content_type,
    metadata = i.metadata::json, updated_at = i.updated_at, blob_hash = i.blob_hash,
    claims_key = i.claims_key, lease_expires_at = i.lease_expires_at, lease_epoch = i.lease_epoch
FROM unnest({_OBJECT_ARRAYS}) AS i ({", ".join(each.name for each in objects.columns)})
WHERE o.id = ANY ($1::text[]::uuid[]) AND o.id = i.id::uuid"""  # noqa: S608

INSERT_OBJECTS: Final = f"""
INSERT INTO objects ({", ".join(each.name for each in objects.columns)})
SELECT {
    ", ".join(
        f"i.{each.name}" + {"id": "::uuid", "metadata": "::json"}.get(each.name, "")
        for each in objects.columns
    )
}
FROM unnest({_OBJECT_ARRAYS}) AS i ({", ".join(each.name for each in objects.columns)})
ORDER BY i.tenant_id COLLATE "C", i.namespace COLLATE "C", i.key COLLATE "C" """  # noqa: S608


class Work:
    """Locked rows, the moves that keep objects and counts together, and what to write back.

    The moves check nothing: a caller checks everything first, so that an item that is refused has
    changed nothing and its neighbours in the same transaction go on.
    """

    now: datetime
    """The server's clock after the last lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.objects: dict[ObjectId, ObjectRow] = {}
        self.blobs: dict[BlobKey, Blob] = {}
        self._keys: dict[KeyName, ObjectRow] = {}
        self._new_objects: dict[ObjectId, ObjectRow] = {}
        self._new_blobs: set[BlobKey] = set()
        self._changed_objects: dict[ObjectId, ObjectRow] = {}
        self._changed_blobs: set[BlobKey] = set()

    # -- lock ---------------------------------------------------------------------------------

    async def lock(
        self,
        ids: Collection[ObjectId],
        *,
        keys: Collection[KeyName] = (),
        blobs: Collection[BlobKey] = (),
    ) -> None:
        """Lock objects by id and by the key they hold, then their blobs and the given ones."""
        names = [list(column) for column in zip(*keys, strict=True)] if keys else [[], [], []]
        if keys:
            await self._connection.execute(LOCK_KEYS, *names)
        found = await self._connection.fetch(LOCK_OBJECTS, list(ids), *names)
        await self.lock_more(map(object_row_of, found), blobs=blobs)

    async def lock_more(
        self, rows: Iterable[ObjectRow], *, blobs: Collection[BlobKey] = ()
    ) -> None:
        """Take in objects that are locked already, and lock their blobs and the given ones."""
        wanted = set(blobs)
        for row in rows:
            self.objects[row.object.id] = row
            if row.held is not None:
                wanted.add(row.held)
            if row.has_key and row.key_name is not None:
                self._keys[row.key_name] = row
        if wanted:
            found = await self._connection.fetch(
                LOCK_BLOBS,
                [key.content_hash for key in wanted],
                [key.storage_class for key in wanted],
            )
            self.blobs.update((blob.key, blob) for blob in map(blob_of, found))
        self.now = await self._connection.fetchval("SELECT clock_timestamp()")

    # -- look ---------------------------------------------------------------------------------

    def holder(self, key_name: KeyName | None) -> ObjectRow | None:
        """Who holds a key that was asked for."""
        return None if key_name is None else self._keys.get(key_name)

    def is_over(self, row: ObjectRow) -> bool:
        """Whether it is an upload whose lease is over."""
        until = row.lease_expires_at
        return row.object.status is ObjectStatus.WRITING and until is not None and until <= self.now

    def check_size(self, content: Content, storage_class: StorageClass) -> None:
        """Refuse content whose blob is recorded with another size.

        Raises:
            Corrupt: It is: two contents of one hash, or a wrong record.
        """
        blob = self.blobs.get(BlobKey(content.content_hash, storage_class))
        if blob is not None and blob.size_bytes != content.size_bytes:
            raise Corrupt("content of this hash is recorded with another size")

    def seen(self, row: ObjectRow) -> StoredObject:
        """The object as callers get it: with its blob's locator while COMMITTED."""
        if row.object.status is not ObjectStatus.COMMITTED:
            return row.object
        assert row.held is not None
        return replace(row.object, locator=self.blobs[row.held].locator)

    # -- move ---------------------------------------------------------------------------------

    def insert(self, row: ObjectRow) -> None:
        """Add an object."""
        self.objects[row.object.id] = self._new_objects[row.object.id] = row
        if row.has_key and row.key_name is not None:
            self._keys[row.key_name] = row

    def change(self, row: ObjectRow, stored: StoredObject) -> None:
        """Set what an object is now, its hold on its key included."""
        self._free_key(row)
        row.object = stored
        if row.has_key and row.key_name is not None:
            assert row.key_name not in self._keys, "the key is held"
            self._keys[row.key_name] = row
        if stored.id not in self._new_objects:
            self._changed_objects[stored.id] = row

    def _free_key(self, row: ObjectRow) -> None:
        if row.key_name is not None and self._keys.get(row.key_name) is row:
            del self._keys[row.key_name]

    def drop_claim(self, row: ObjectRow) -> None:
        """Take the key from an upload that claims it; it goes on, and is refused at commit."""
        self._free_key(row)
        row.claims_key = False
        self.change(row, row.object)

    def hold(self, row: ObjectRow, content: Content) -> None:
        """Make the object count on its blob; the row is made when there is none."""
        assert row.held is None
        key = BlobKey(content.content_hash, row.object.storage_class)
        blob = self.blobs.get(key)
        if blob is None:
            self._new_blobs.add(key)
            blob = Blob(
                key=key,
                size_bytes=content.size_bytes,
                ref_count=0,
                locator=None,
                stored_at=None,
                zero_since=None,
                claimed_until=None,
                first_seen_at=self.now,
                last_used_at=self.now,
            )
        self._set_blob(
            replace(
                blob,
                ref_count=blob.ref_count + 1,
                zero_since=None,
                claimed_until=None,
                last_used_at=self.now,
            )
        )
        row.held = key
        self.change(row, row.object.with_content(content.content_hash, content.size_bytes))

    def release(self, row: ObjectRow) -> None:
        """Take the object's reference from its blob, if it holds one."""
        if row.held is None:
            return
        blob = self.blobs[row.held]
        count = blob.ref_count - 1
        self._set_blob(
            replace(
                blob,
                ref_count=count,
                zero_since=None if count else self.now,
                last_used_at=self.now,
            )
        )
        row.held = None

    def confirm(self, row: ObjectRow, locator: Locator) -> Locator:
        """Record the object's blob durable, unless another upload of the bytes did; where it is."""
        assert row.held is not None
        blob = self.blobs[row.held]
        if blob.stored_at is not None and blob.locator is not None:
            return blob.locator
        self._set_blob(replace(blob, stored_at=self.now, locator=locator))
        return locator

    def _set_blob(self, blob: Blob) -> None:
        self.blobs[blob.key] = blob
        if blob.key not in self._new_blobs:
            self._changed_blobs.add(blob.key)

    def abandon(self, row: ObjectRow) -> None:
        """End an upload: WRITING -> DELETED, key and reference released, epoch + 1."""
        self.release(row)
        row.epoch += 1
        row.lease_expires_at = None
        self.change(row, row.object.abandon(self.now))

    def delete(self, row: ObjectRow) -> StoredObject:
        """COMMITTED -> DELETING: key and reference released."""
        self.release(row)
        self.change(row, row.object.delete(self.now))
        return row.object

    def expires(self, lease_s: float) -> datetime:
        """When a lease that begins now is over."""
        return self.now + timedelta(seconds=lease_s)

    # -- write --------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write everything back. Afterwards `blobs` tells what became of new rows."""
        await self._flush_blobs()
        # The unique index looks at every row as it is written: first let go, then take.
        letting_go = [row for row in self._changed_objects.values() if not row.has_key]
        taking = [row for row in self._changed_objects.values() if row.has_key]
        for rows in (letting_go, taking):
            if rows:
                await self._connection.execute(UPDATE_OBJECTS, *_object_arrays(rows))
        if self._new_objects:
            new = _object_arrays(list(self._new_objects.values()))
            await self._connection.execute(INSERT_OBJECTS, *new)

    async def _flush_blobs(self) -> None:
        if self._changed_blobs:
            changed = [self.blobs[key] for key in self._changed_blobs]
            await self._connection.execute(UPDATE_BLOBS, *_blob_arrays(changed))
        if self._new_blobs:
            new = [self.blobs[key] for key in self._new_blobs]
            made = await self._connection.fetch(
                INSERT_BLOBS,
                [blob.key.content_hash for blob in new],
                [blob.key.storage_class for blob in new],
                [blob.size_bytes for blob in new],
                [blob.ref_count for blob in new],
                self.now,
            )
            for blob in map(blob_of, made):
                # Another transaction may have made the row since we looked.
                if blob.size_bytes != self.blobs[blob.key].size_bytes:
                    raise Corrupt("content of this hash is recorded with another size")
                self.blobs[blob.key] = blob


def _blob_arrays(rows: Sequence[Blob]) -> list[list[object]]:
    return [
        [blob.key.content_hash for blob in rows],
        [blob.key.storage_class for blob in rows],
        [blob.size_bytes for blob in rows],
        [blob.ref_count for blob in rows],
        [blob.locator for blob in rows],
        [blob.stored_at for blob in rows],
        [blob.zero_since for blob in rows],
        [blob.claimed_until for blob in rows],
        [blob.first_seen_at for blob in rows],
        [blob.last_used_at for blob in rows],
    ]


def _object_arrays(rows: Sequence[ObjectRow]) -> list[list[object]]:
    """One array for each column of `objects`, in its order."""
    values = [
        (
            row.object.id,
            row.object.namespace,
            row.object.tenant_id,
            row.object.key,
            row.object.status,
            row.object.storage_class,
            row.object.content_hash,
            row.object.size_bytes,
            row.object.content_type,
            row.object.metadata.encoded.decode(),
            row.object.created_at,
            row.object.updated_at,
            None if row.held is None else row.held.content_hash,
            row.claims_key,
            row.lease_expires_at,
            row.epoch,
        )
        for row in rows
    ]
    return [list(column) for column in zip(*values, strict=True)]
