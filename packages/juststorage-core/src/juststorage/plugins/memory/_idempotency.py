"""The idempotency repository, and what uploads do to its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from juststorage.domain import ObjectId, ObjectStatus, TenantId
from juststorage.errors import IdempotencyInFlight, IdempotencyMismatch
from juststorage.ports import Committed, IdempotencyRecord, IdempotencyRepository, UploadIntent

if TYPE_CHECKING:
    from juststorage.plugins.memory._rows import Rows

__all__ = ["KeyRecord", "MemoryIdempotencyRepository", "check_claim", "claim", "keep_answer"]

KeyRecordName: TypeAlias = "tuple[TenantId, str]"


@dataclass(slots=True)
class KeyRecord:
    """A key, the upload that it was sent with, and its answer once there is one."""

    request: str
    upload_id: ObjectId
    expires_at: datetime
    committed: Committed | None = None


class MemoryIdempotencyRepository(IdempotencyRepository):
    """See `IdempotencyRepository`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def find(self, tenant_id: TenantId, text: str) -> IdempotencyRecord | None:
        await checkpoint()
        record = self._rows.key_records.get((tenant_id, text))
        if record is None or not _counts(self._rows, record):
            return None
        return IdempotencyRecord(record.request, record.committed)

    async def purge(self, *, limit: int) -> int:
        await checkpoint()
        now = self._rows.now()
        over = [
            name
            for name, record in self._rows.key_records.items()
            if record.expires_at <= now and not _counts(self._rows, record)
        ][:limit]
        for name in over:
            del self._rows.key_records[name]
        return len(over)


def _counts(rows: Rows, record: KeyRecord) -> bool:
    if record.committed is not None:
        return rows.now() < record.expires_at
    row = rows.objects.get(record.upload_id)
    return (
        row is not None
        and row.object.status is ObjectStatus.WRITING
        and rows.now() < row.lease_expires_at
    )


def check_claim(rows: Rows, intent: UploadIntent) -> None:
    """Refuse an upload whose key stands for another one."""
    key = intent.idempotency
    record = None if key is None else rows.key_records.get((intent.new.tenant_id, key.text))
    if key is None or record is None or not _counts(rows, record):
        return
    if record.request != key.request:
        raise IdempotencyMismatch("this Idempotency-Key was used for another request")
    raise IdempotencyInFlight(
        "a request with this Idempotency-Key is still under way", retry_after_s=1
    )


def claim(rows: Rows, intent: UploadIntent) -> None:
    """Let the key stand for this upload; one whose lease is over and that had it has ended."""
    key = intent.idempotency
    if key is None:
        return
    name = (intent.new.tenant_id, key.text)
    before = rows.key_records.get(name)
    row = None if before is None else rows.objects.get(before.upload_id)
    if row is not None and row.object.status is ObjectStatus.WRITING:
        rows.abandon(row, rows.now())
    expires_at = rows.now() + timedelta(seconds=key.ttl_s)
    rows.key_records[name] = KeyRecord(key.request, intent.new.id, expires_at)


def keep_answer(rows: Rows, intent: UploadIntent, committed: Committed) -> None:
    """Keep what the upload is answered with."""
    key = intent.idempotency
    if key is None:
        return
    rows.key_records[intent.new.tenant_id, key.text] = KeyRecord(
        key.request,
        intent.new.id,
        rows.now() + timedelta(seconds=key.ttl_s),
        replace(committed, object=replace(committed.object, locator=None)),
    )
