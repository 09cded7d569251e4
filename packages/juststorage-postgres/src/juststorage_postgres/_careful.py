"""The steps of an upload over locked rows: the careful way, for one or many in one transaction.

In each of them: lock, then for one item after the other check everything and change, then write. An
item sees what the ones before it did, so a batch may hold several for one key or one blob.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from juststorage.domain import (
    BlobKey,
    Conditions,
    ContentHash,
    Locator,
    ObjectId,
    ObjectStatus,
    TenantId,
)
from juststorage.domain import StoredObject as Object
from juststorage.errors import (
    InvalidState,
    JustStorageError,
    KeyConflict,
    NotFound,
    PreconditionFailed,
    UploadExpired,
)
from juststorage.ports import Committed, Content, Lease, Reservation, UploadIntent
from juststorage_postgres._idempotency import KeyRecords
from juststorage_postgres._pool import Connection
from juststorage_postgres._rows import KeyName, ObjectRow
from juststorage_postgres._work import Work

__all__ = [
    "FIRST_EPOCH",
    "Answers",
    "Begin",
    "Commit",
    "Delete",
    "Reserve",
    "begin_all",
    "check",
    "check_key_free",
    "commit_all",
    "delete_all",
    "reserve_all",
    "reserved_row",
    "take_over",
    "visible",
]

FIRST_EPOCH: Final = 1

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Answers: TypeAlias = list[ResultT | BaseException]


class Begin(msgspec.Struct, frozen=True, gc=False):
    """A begin; with `content`, a begin and a reservation in one."""

    intent: UploadIntent
    lease_s: float
    content: Content | None = None

    @property
    def key_name(self) -> KeyName | None:
        """The key that it is about."""
        new = self.intent.new
        return None if new.key is None else (new.tenant_id, new.namespace, new.key)


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """A reservation."""

    lease: Lease
    content: Content


class Commit(msgspec.Struct, frozen=True, gc=False):
    """A commit."""

    lease: Lease
    locator: Locator

    @property
    def key_name(self) -> KeyName | None:
        """The key that it takes."""
        new = self.lease.intent.new
        return None if new.key is None else (new.tenant_id, new.namespace, new.key)


class Delete(msgspec.Struct, frozen=True, gc=False):
    """A delete by id."""

    tenant_id: TenantId
    object_id: ObjectId
    conditions: Conditions


# -- begin ------------------------------------------------------------------------------------


async def begin_all(
    connection: Connection, items: Sequence[Begin]
) -> Answers[Reservation | Committed]:
    """`begin` and `begin_reserved`; a bare begin answers with a reservation of nothing."""
    work, records = Work(connection), KeyRecords()
    await records.lock(connection, [item.intent for item in items])
    await work.lock(
        [*(item.intent.new.id for item in items), *records.uploads],
        keys={item.key_name for item in items if item.key_name is not None},
        blobs={
            BlobKey(item.content.content_hash, item.intent.new.storage_class)
            for item in items
            if item.content is not None
        },
    )
    begun = [_refusable(partial(_begin, records), work, item) for item in items]
    await work.flush()
    await records.flush(connection)
    return [_reservation(work, *each) if isinstance(each, tuple) else each for each in begun]


def _refusable(
    step: Callable[[Work, ItemT], ResultT], work: Work, item: ItemT
) -> ResultT | JustStorageError:
    """A step's result, or what it refused with before it changed anything."""
    try:
        return step(work, item)
    except JustStorageError as refusal:
        return refusal


def _begin(
    records: KeyRecords, work: Work, item: Begin
) -> Committed | tuple[Lease, BlobKey | None]:
    intent, new = item.intent, item.intent.new
    if new.id in work.objects:
        raise InvalidState("there is an object with this id already")
    records.check(work, intent)
    check(intent.conditions, _current(work, item.key_name))
    if not intent.replace:
        check_key_free(work, item.key_name)
    if item.content is not None:
        work.check_size(item.content, new.storage_class)
    records.take(work, intent)
    row = ObjectRow(Object.begin(new, work.now), FIRST_EPOCH, work.expires(item.lease_s))
    if not intent.replace and new.key is not None:
        take_over(work, item.key_name)
        row.claims_key = True
    work.insert(row)
    if item.content is not None:
        work.hold(row, item.content)
    blob = None if row.held is None else work.blobs[row.held]
    if blob is not None and blob.stored_at is not None and blob.locator is not None:
        committed = _commit_row(work, row, blob.locator)
        records.keep_answer(work, intent, committed)
        return committed
    return Lease(intent=intent, object=row.object, epoch=row.epoch), row.held


def _reservation(work: Work, lease: Lease, held: BlobKey | None) -> Reservation:
    blob = None if held is None else work.blobs[held]
    return Reservation(lease, None if blob is None or blob.stored_at is None else blob.locator)


def check(conditions: Conditions, current: ContentHash | None) -> None:
    """Refuse where the conditions do not hold for what is there now."""
    if not conditions.hold_for(current):
        raise PreconditionFailed("the precondition does not hold")


def _current(work: Work, key_name: KeyName | None) -> ContentHash | None:
    """The content of the COMMITTED object that holds the key."""
    holder = work.holder(key_name)
    visible = holder is not None and holder.object.status is ObjectStatus.COMMITTED
    return holder.object.content_hash if visible and holder is not None else None


def check_key_free(work: Work, key_name: KeyName | None) -> None:
    """Refuse a key that is held, unless its holder is an upload whose lease is over."""
    holder = work.holder(key_name)
    if holder is None or work.is_over(holder):
        return
    visible = holder.object.status is ObjectStatus.COMMITTED
    raise KeyConflict(
        "a live object holds the key",
        object_id=holder.object.id,
        content_hash=holder.object.content_hash if visible else None,
    )


def take_over(work: Work, key_name: KeyName | None) -> None:
    """End the upload that holds the key, its lease being over."""
    holder = work.holder(key_name)
    if holder is not None:
        work.abandon(holder)


# -- reserve ----------------------------------------------------------------------------------


async def reserve_all(connection: Connection, items: Sequence[Reserve]) -> Answers[Reservation]:
    """`reserve`."""
    work = Work(connection)
    await work.lock(
        [item.lease.object.id for item in items],
        blobs={
            BlobKey(item.content.content_hash, item.lease.object.storage_class) for item in items
        },
    )
    held = [_refusable(_reserve, work, item) for item in items]
    await work.flush()
    return [_reservation(work, *each) if isinstance(each, tuple) else each for each in held]


def _reserve(work: Work, item: Reserve) -> tuple[Lease, BlobKey | None]:
    row = _leased(work, item.lease)
    work.check_size(item.content, row.object.storage_class)
    if row.held is None:
        work.hold(row, item.content)
    elif row.held.content_hash != item.content.content_hash:
        raise InvalidState("the upload has reserved other content")
    return replace(item.lease, object=row.object), row.held


def _leased(work: Work, lease: Lease) -> ObjectRow:
    row = work.objects.get(lease.object.id)
    if row is None or not row.is_live(lease.epoch):
        raise UploadExpired("the upload lost its lease")
    return row


def reserved_row(work: Work, lease: Lease) -> ObjectRow:
    """The upload's row, its lease held and its content reserved."""
    row = _leased(work, lease)
    if row.held is None:
        raise InvalidState("the upload has not reserved its content")
    return row


# -- commit -----------------------------------------------------------------------------------


async def commit_all(connection: Connection, items: Sequence[Commit]) -> Answers[Committed]:
    """`commit`."""
    work, records = Work(connection), KeyRecords()
    await records.lock(connection, [item.lease.intent for item in items])
    await work.lock(
        [item.lease.object.id for item in items],
        keys={item.key_name for item in items if item.key_name is not None},
    )
    committed = [_refusable(partial(_commit, records), work, item) for item in items]
    await work.flush()
    await records.flush(connection)
    return list(committed)


def _commit(records: KeyRecords, work: Work, item: Commit) -> Committed:
    row = reserved_row(work, item.lease)
    intent = item.lease.intent
    if not intent.replace and row.object.key is not None and not row.has_key:
        raise UploadExpired("another upload took the key")
    check(intent.conditions, _current(work, row.key_name))
    committed = _commit_row(work, row, item.locator)
    records.keep_answer(work, intent, committed)
    return committed


def _commit_row(work: Work, row: ObjectRow, locator: Locator) -> Committed:
    """Make the object the COMMITTED holder of its key."""
    locator = work.confirm(row, locator)
    replaced: ObjectId | None = None
    holder = work.holder(row.key_name)
    if holder is not None and holder is not row:
        if holder.object.status is ObjectStatus.COMMITTED:
            replaced = work.delete(holder).id
        else:
            work.drop_claim(holder)
    row.lease_expires_at = None
    work.change(row, row.object.commit(locator, work.now))
    return Committed(work.seen(row), replaced)


# -- delete -----------------------------------------------------------------------------------


async def delete_all(connection: Connection, items: Sequence[Delete]) -> Answers[Object]:
    """`delete`."""
    work = Work(connection)
    await work.lock([item.object_id for item in items])
    deleted = [_refusable(_delete, work, item) for item in items]
    await work.flush()
    return list(deleted)


def _delete(work: Work, item: Delete) -> Object:
    return work.delete(visible(work, item.tenant_id, item.object_id, item.conditions))


def visible(
    work: Work, tenant_id: TenantId, object_id: ObjectId, conditions: Conditions
) -> ObjectRow:
    """The tenant's COMMITTED object, for which the conditions hold."""
    row = work.objects.get(object_id)
    if (
        row is None
        or row.object.status is not ObjectStatus.COMMITTED
        or row.object.tenant_id != tenant_id
    ):
        raise NotFound("there is no such object")
    check(conditions, row.object.content_hash)
    return row
