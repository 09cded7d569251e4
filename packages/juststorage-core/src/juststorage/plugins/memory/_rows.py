"""The tables: rows, the indexes over them, and the moves that keep the two together.

Everything here is sync. A repository method checks first and changes after, and awaits nothing in
between: on one event loop that makes it a transaction, and one that raises has changed nothing.
Only `BlobRepository.remove` awaits inside its transaction. It changes nothing until it has what it
waits for, and its rows are `locked` meanwhile; no other method touches a locked row, because only
unreferenced rows are ever locked, and whoever would refer to one waits in `unlocked`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

import anyio
from msgspec.structs import replace

from juststorage.domain import (
    Blob,
    BlobKey,
    Namespace,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.plugins.memory._idempotency import KeyRecord
from juststorage.ports import Clock, Content, Hold

__all__ = ["ObjectRow", "Rows"]

UsageName: TypeAlias = "tuple[TenantId, Namespace, StorageClass]"
_KeyName: TypeAlias = "tuple[TenantId, Namespace, ObjectKey]"


@dataclass(slots=True)
class ObjectRow:
    """An object and what only the database knows of it.

    `held` is the blob that it counts on; `has_key` says whether it is its key's holder: COMMITTED,
    or WRITING with a claim.
    """

    object: StoredObject
    epoch: int
    lease_expires_at: datetime
    held: BlobKey | None = None
    has_key: bool = False

    @property
    def blob_key(self) -> BlobKey | None:
        """The blob that it counts on or counted on; None while its content is unknown."""
        if self.object.content_hash is None:
            return None
        return BlobKey(self.object.content_hash, self.object.storage_class)


@dataclass(slots=True)
class Rows:
    """The state of one store."""

    clock: Clock
    object_became: Callable[[StoredObject, StoredObject], None]
    """Told what an object was, and what it is now."""
    objects: dict[ObjectId, ObjectRow] = field(default_factory=dict)
    blobs: dict[BlobKey, Blob] = field(default_factory=dict)
    key_records: dict[tuple[TenantId, str], KeyRecord] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    usage: dict[UsageName, tuple[int, int]] = field(default_factory=dict)
    """COMMITTED objects and their bytes."""
    _by_tenant: defaultdict[TenantId, set[ObjectId]] = field(
        default_factory=lambda: defaultdict(set)
    )
    _by_key: dict[_KeyName, ObjectId] = field(default_factory=dict)
    _locks: dict[BlobKey, anyio.Event] = field(default_factory=dict)

    def now(self) -> datetime:
        """The store's clock."""
        return self.clock.now()

    def ago(self, seconds: float) -> datetime:
        """That long before now."""
        return self.clock.now() - timedelta(seconds=seconds)

    def held_since(self) -> datetime | None:
        """What has been garbage for longer is in no hold; None where there is none."""
        now = self.now()
        running = (
            each.since
            for each in self.holds.values()
            if each.expires_at is None or now < each.expires_at
        )
        return min(running, default=None)

    # -- locks --------------------------------------------------------------------------------

    def is_locked(self, key: BlobKey) -> bool:
        """Whether a removal has the row locked."""
        return key in self._locks

    async def unlocked(self, keys: Sequence[BlobKey]) -> None:
        """Wait until none of the rows is locked; true until the next await."""
        while any((lock := self._locks.get(key)) is not None for key in keys):
            assert lock is not None
            await lock.wait()

    @contextmanager
    def lock(self, keys: Sequence[BlobKey]) -> Iterator[None]:
        """Hold rows that are not locked."""
        released = anyio.Event()
        self._locks.update(dict.fromkeys(keys, released))
        try:
            yield
        finally:
            for key in keys:
                del self._locks[key]
            released.set()

    # -- objects ------------------------------------------------------------------------------

    def insert(self, row: ObjectRow) -> None:
        """Add an object."""
        self.objects[row.object.id] = row
        self._by_tenant[row.object.tenant_id].add(row.object.id)

    def drop(self, row: ObjectRow) -> None:
        """Forget a tombstone."""
        assert row.held is None and not row.has_key
        del self.objects[row.object.id]
        self._by_tenant[row.object.tenant_id].discard(row.object.id)

    def of_tenant(self, tenant_id: TenantId) -> Iterator[ObjectRow]:
        """Every object of a tenant."""
        for object_id in self._by_tenant.get(tenant_id, ()):
            yield self.objects[object_id]

    def committed(self, tenant_id: TenantId, object_id: ObjectId) -> ObjectRow | None:
        """The tenant's COMMITTED object with this id."""
        row = self.objects.get(object_id)
        if row is None or row.object.tenant_id != tenant_id:
            return None
        return row if row.object.status is ObjectStatus.COMMITTED else None

    def seen(self, row: ObjectRow) -> StoredObject:
        """The object as callers get it: with its blob's locator while COMMITTED."""
        if row.object.status is not ObjectStatus.COMMITTED:
            return row.object
        assert row.held is not None
        return replace(row.object, locator=self.blobs[row.held].locator)

    def become(self, row: ObjectRow, stored: StoredObject) -> None:
        """Set what an object is now, and count it where it is COMMITTED."""
        for each, sign in ((row.object, -1), (stored, 1)):
            if each.status is ObjectStatus.COMMITTED:
                name = (each.tenant_id, each.namespace, each.storage_class)
                objects, size = self.usage.get(name, (0, 0))
                assert each.size_bytes is not None
                self.usage[name] = (objects + sign, size + sign * each.size_bytes)
        before, row.object = row.object, stored
        self.object_became(before, stored)

    # -- keys ---------------------------------------------------------------------------------

    def holder(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey | None
    ) -> ObjectRow | None:
        """Who holds a key: COMMITTED, or WRITING with a claim."""
        if key is None:
            return None
        object_id = self._by_key.get((tenant_id, namespace, key))
        return None if object_id is None else self.objects[object_id]

    def take_key(self, row: ObjectRow) -> None:
        """Make the object the holder of its key, which nobody holds."""
        if row.object.key is not None and not row.has_key:
            name = (row.object.tenant_id, row.object.namespace, row.object.key)
            assert name not in self._by_key
            self._by_key[name] = row.object.id
            row.has_key = True

    def free_key(self, row: ObjectRow) -> None:
        """Let go of the key, if the object holds it."""
        if row.has_key:
            assert row.object.key is not None
            del self._by_key[row.object.tenant_id, row.object.namespace, row.object.key]
            row.has_key = False

    # -- references ---------------------------------------------------------------------------

    def hold(self, row: ObjectRow, content: Content, now: datetime) -> Blob:
        """Make the object count on its blob; the row is made when there is none."""
        assert row.held is None
        key = BlobKey(content.content_hash, row.object.storage_class)
        assert not self.is_locked(key)
        blob = self.blobs.get(key)
        if blob is None:
            blob = Blob(
                key=key,
                size_bytes=content.size_bytes,
                ref_count=1,
                locator=None,
                stored_at=None,
                zero_since=None,
                claimed_until=None,
                first_seen_at=now,
                last_used_at=now,
            )
        else:
            blob = replace(
                blob,
                ref_count=blob.ref_count + 1,
                zero_since=None,
                claimed_until=None,
                last_used_at=now,
            )
        self.blobs[key] = blob
        row.held = key
        row.object = row.object.with_content(content.content_hash, content.size_bytes)
        return blob

    def release(self, row: ObjectRow, now: datetime) -> None:
        """Take the object's reference from its blob, if it holds one."""
        if row.held is None:
            return
        blob = self.blobs[row.held]
        assert blob.ref_count > 0
        count = blob.ref_count - 1
        self.blobs[row.held] = replace(
            blob, ref_count=count, zero_since=None if count else now, last_used_at=now
        )
        row.held = None

    # -- ends ---------------------------------------------------------------------------------

    def abandon(self, row: ObjectRow, now: datetime) -> None:
        """End an upload: WRITING -> DELETED, key and reference released, epoch + 1."""
        self.free_key(row)
        self.release(row, now)
        row.object = row.object.abandon(now)
        row.epoch += 1

    def delete(self, row: ObjectRow, now: datetime) -> StoredObject:
        """COMMITTED -> DELETING: key and reference released."""
        self.free_key(row)
        self.release(row, now)
        self.become(row, row.object.delete(now))
        return row.object

    def is_to_bury(self, row: ObjectRow) -> bool:
        """DELETING, and no removal of its blob to come that would bury it."""
        if row.object.status is not ObjectStatus.DELETING or row.blob_key is None:
            return False
        blob = self.blobs.get(row.blob_key)
        return blob is None or blob.ref_count > 0
