"""What keeps the objects' table small and true, and the walks over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from anyio.lowlevel import checkpoint

from juststorage.domain import BlobKey, ObjectId, ObjectStatus, StoredObject
from juststorage.plugins.memory._rows import ObjectRow, Rows
from juststorage.ports import ObjectRepository

__all__ = ["MemoryHousekeeping"]


class MemoryHousekeeping(ObjectRepository):
    """The housekeeping of `ObjectRepository`; `MemoryObjectRepository` adds the rest."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def reap(self, *, limit: int) -> list[ObjectId]:
        await checkpoint()
        now = self._rows.now()
        over = [row for row in self._rows.objects.values() if self._is_over(row)][:limit]
        for row in over:
            self._rows.abandon(row, now)
        return [row.object.id for row in over]

    async def expired(self, *, older_than_s: float, limit: int) -> list[ObjectId]:
        await checkpoint()
        then = self._rows.now() - timedelta(seconds=older_than_s)
        rows = self._rows.objects.values()
        return [row.object.id for row in rows if self._is_over(row, then)][:limit]

    async def live_uploads(self, upload_ids: Sequence[ObjectId]) -> set[ObjectId]:
        await checkpoint()
        rows = (self._rows.objects.get(upload_id) for upload_id in upload_ids)
        return {row.object.id for row in rows if row and row.object.status is ObjectStatus.WRITING}

    async def bury(self, *, limit: int) -> int:
        await checkpoint()
        now = self._rows.now()
        rows = self._rows.objects.values()
        done = [row for row in rows if self._rows.is_to_bury(row)][:limit]
        for row in done:
            row.object = row.object.bury(now)
        return len(done)

    async def purge_tombstones(self, *, older_than_s: float, limit: int) -> int:
        await checkpoint()
        until = self._rows.ago(older_than_s)
        old = [
            row
            for row in self._rows.objects.values()
            if row.object.status is ObjectStatus.DELETED and row.object.updated_at <= until
        ][:limit]
        for row in old:
            self._rows.drop(row)
        return len(old)

    async def holders(self, key: BlobKey, *, limit: int) -> list[StoredObject]:
        await checkpoint()
        rows = self._rows.objects
        held = sorted(
            object_id
            for object_id, row in rows.items()
            if row.held == key and row.object.status is ObjectStatus.COMMITTED
        )
        return [self._rows.seen(rows[object_id]) for object_id in held[:limit]]

    async def scan(self, *, after: ObjectId | None, limit: int) -> list[StoredObject]:
        await checkpoint()
        ids = sorted(each for each in self._rows.objects if after is None or each > after)
        return [self._rows.seen(self._rows.objects[object_id]) for object_id in ids[:limit]]

    def _is_over(self, row: ObjectRow, then: datetime | None = None) -> bool:
        writing = row.object.status is ObjectStatus.WRITING
        return writing and row.lease_expires_at <= (then or self._rows.now())
