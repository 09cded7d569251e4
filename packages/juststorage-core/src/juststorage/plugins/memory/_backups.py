"""The backup repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from juststorage.domain import ApiKey, Blob, ObjectStatus, StoredObject
from juststorage.errors import InvalidState
from juststorage.plugins.memory._api_keys import MemoryApiKeyRepository
from juststorage.plugins.memory._audit import MemoryAuditRepository
from juststorage.plugins.memory._idempotency import KeyRecord
from juststorage.plugins.memory._rows import ObjectRow, Rows
from juststorage.ports import (
    BackupRepository,
    Hold,
    Record,
    SavedAnswer,
    SavedBlob,
    Snapshot,
    decode_answer,
    encode_answer,
)

__all__ = ["MemoryBackupRepository"]


class MemoryBackupRepository(BackupRepository):
    """See `BackupRepository`. A snapshot is a list of rows, which nobody changes."""

    def __init__(
        self, rows: Rows, api_keys: MemoryApiKeyRepository, audit: MemoryAuditRepository
    ) -> None:
        self._rows = rows
        self._api_keys = api_keys
        self._audit = audit

    # -- holds --------------------------------------------------------------------------------

    async def hold(self, name: str, *, hold_s: float, back_s: float) -> Hold:
        await checkpoint()
        now = self._rows.now()
        hold = Hold(
            name=name,
            since=now - timedelta(seconds=back_s),
            expires_at=now + timedelta(seconds=hold_s),
        )
        self._rows.holds[name] = hold
        return hold

    async def renew(self, name: str, *, hold_s: float) -> bool:
        await checkpoint()
        hold, now = self._rows.holds.get(name), self._rows.now()
        if hold is None or hold.expires_at is None or hold.expires_at <= now:
            return False
        self._rows.holds[name] = replace(hold, expires_at=now + timedelta(seconds=hold_s))
        return True

    async def release(self, name: str) -> None:
        await checkpoint()
        self._rows.holds.pop(name, None)

    async def holds(self) -> list[Hold]:
        await checkpoint()
        now = self._rows.now()
        return [
            hold
            for _, hold in sorted(self._rows.holds.items())
            if hold.expires_at is None or now < hold.expires_at
        ]

    # -- out ----------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        await checkpoint()
        return _MemorySnapshot(self._rows.now(), list(self._records()))

    def _records(self) -> Iterator[Record]:
        yield from self._api_keys.all()
        committed = [
            row.object
            for _, row in sorted(self._rows.objects.items())
            if row.object.status is ObjectStatus.COMMITTED
        ]
        held = Counter((each.content_hash, each.storage_class) for each in committed)
        for key, blob in sorted(self._rows.blobs.items()):
            if references := held[key.content_hash, key.storage_class]:
                yield SavedBlob(
                    key=key,
                    size_bytes=blob.size_bytes,
                    references=references,
                    first_seen_at=blob.first_seen_at,
                    last_used_at=blob.last_used_at,
                )
        for each in committed:
            yield replace(each, locator=None)
        for (tenant_id, text), record in sorted(self._rows.key_records.items()):
            if record.committed is not None:
                yield SavedAnswer(
                    tenant_id=tenant_id,
                    text=text,
                    request=record.request,
                    upload_id=record.upload_id,
                    expires_at=record.expires_at,
                    answer=encode_answer(record.committed),
                )
        yield from self._audit.all()

    # -- in -----------------------------------------------------------------------------------

    async def begin_restore(self, name: str) -> bool:
        await checkpoint()
        begun = [each.name for each in self._rows.holds.values() if each.expires_at is None]
        if name in begun:
            return True
        if begun:
            raise InvalidState(f"another restore has begun and not ended: {begun[0]}")
        if self._rows.objects:
            raise InvalidState(
                "there are objects here already: a restore has ended here, or none was begun"
            )
        self._rows.holds[name] = Hold(name=name, since=self._rows.now(), expires_at=None)
        return False

    async def restore(self, records: Sequence[Record]) -> None:
        await checkpoint()
        # Checked before anything changes: a transaction does all or nothing.
        self._check(records)
        for record in records:
            self._put_back(record)

    def _check(self, records: Sequence[Record]) -> None:
        blobs = {record.key for record in records if isinstance(record, SavedBlob)}
        keys: dict[bytes, str] = {}
        names: dict[object, str] = {}
        for record in records:
            if (
                isinstance(record, ApiKey)
                and keys.setdefault(record.hashed, record.id) != record.id
            ):
                raise InvalidState("two API keys of the backup have one hash")
            if not isinstance(record, StoredObject) or record.id in self._rows.objects:
                continue
            row = _row_of(record)
            if row.blob_key not in blobs and row.blob_key not in self._rows.blobs:
                raise InvalidState("an object of the backup has no blob")
            name = (record.tenant_id, record.namespace, record.key)
            holder = self._rows.holder(*name)
            if record.key is not None and (
                holder is not None or names.setdefault(name, record.id) != record.id
            ):
                raise InvalidState("two objects of the backup have one key")

    def _put_back(self, record: Record) -> None:
        if isinstance(record, ApiKey):
            self._api_keys.put_back(record)
        elif isinstance(record, SavedBlob):
            self._put_back_blob(record)
        elif isinstance(record, StoredObject):
            self._put_back_object(record)
        elif isinstance(record, SavedAnswer):
            self._rows.key_records.setdefault(
                (record.tenant_id, record.text),
                KeyRecord(
                    record.request,
                    record.upload_id,
                    record.expires_at,
                    decode_answer(record.answer),
                ),
            )
        else:
            self._audit.put_back(record)

    def _put_back_blob(self, saved: SavedBlob) -> None:
        before = self._rows.blobs.get(saved.key)
        stored_at = None if before is None else before.stored_at
        locator = None if before is None else before.locator
        self._rows.blobs[saved.key] = Blob(
            key=saved.key,
            size_bytes=saved.size_bytes,
            ref_count=saved.references,
            locator=saved.locator or locator,
            stored_at=self._rows.now() if saved.locator is not None else stored_at,
            zero_since=None,
            claimed_until=None,
            first_seen_at=saved.first_seen_at,
            last_used_at=saved.last_used_at,
        )

    def _put_back_object(self, stored: StoredObject) -> None:
        if stored.id in self._rows.objects:
            return
        row = _row_of(stored)
        row.held = row.blob_key
        self._rows.insert(row)
        self._rows.take_key(row)
        # Its content is counted by what it becomes.
        row.object = replace(stored, status=ObjectStatus.WRITING)
        self._rows.become(row, stored)

    async def end_restore(self, name: str) -> None:
        await checkpoint()
        self._rows.holds.pop(name, None)


def _row_of(stored: StoredObject) -> ObjectRow:
    return ObjectRow(stored, epoch=0, lease_expires_at=stored.updated_at)


class _MemorySnapshot(Snapshot):
    def __init__(self, taken_at: datetime, records: list[Record]) -> None:
        self.taken_at = taken_at
        self._rest = iter(records)

    async def read(self, limit: int) -> Sequence[Record]:
        await checkpoint()
        return list(islice(self._rest, limit))

    async def aclose(self) -> None:
        self._rest = iter(())
