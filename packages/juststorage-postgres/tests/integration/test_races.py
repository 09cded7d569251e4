"""Two transactions that meet, one step at a time: `raw` holds a lock, the store waits for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

import anyio
import asyncpg
import pytest

from juststorage.domain import Blob, BlobKey, Conditions, ObjectKey, ObjectStatus, StorageClass
from juststorage.errors import (
    BackendError,
    JustStorageError,
    KeyConflict,
    PreconditionFailed,
    Unavailable,
    UploadExpired,
)
from juststorage.ports import Committed, MetadataStore, Removal, Reservation
from juststorage.testing import audit_metadata, make_content, make_intent, store_object

TENANT = make_intent().new.tenant_id
NAMESPACE = make_intent().new.namespace

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def until_waiting(watcher: asyncpg.Connection, number: int = 1) -> None:
    """Return once so many statements wait for a lock."""
    with anyio.fail_after(10):
        while await watcher.fetchval(WAITING) < number:
            pass


class Outcome:
    """Runs a call in a task group and keeps what came of it."""

    def __init__(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._call = call
        self.result: Any = None
        self.error: JustStorageError | None = None

    async def __call__(self) -> None:
        try:
            self.result = await self._call()
        except JustStorageError as error:
            self.error = error


def key_of(content: Any, storage_class: StorageClass = StorageClass.HOT) -> BlobKey:
    """The blob of a content."""
    return BlobKey(content.content_hash, storage_class)


async def make_garbage(store: MetadataStore, content: Any) -> list[BlobKey]:
    """Store, delete and claim a content."""
    done = await store_object(store, None, content)
    await store.objects.delete(TENANT, done.object.id)
    claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=lambda *_: True)
    return [blob.key for blob in claimed]


async def test_an_upload_waits_for_a_removal_and_then_places_its_own(
    store: MetadataStore, other_store: MetadataStore, watcher: asyncpg.Connection
) -> None:
    """R01: while a collector moves a file, an upload of the same bytes waits for a new row."""
    content = make_content("contested")
    claimed = await make_garbage(store, content)
    upload = Outcome(
        lambda: other_store.objects.begin_reserved(make_intent("k"), content, lease_s=60)
    )

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        tasks.start_soon(upload)
        await until_waiting(watcher)
        assert upload.result is None
        return [blob.key for blob in blobs]

    async with anyio.create_task_group() as tasks:
        removal = await store.blobs.remove(claimed, move)
    assert [blob.key for blob in removal.removed] == claimed
    assert isinstance(upload.result, Reservation) and upload.result.locator is None
    blob = (await store.blobs.find(claimed))[claimed[0]]
    assert (blob.ref_count, blob.stored_at, blob.zero_since) == (1, None, None)
    await other_store.objects.commit(upload.result.lease, "hot/new")
    assert await audit_metadata(store) == []


async def test_a_waiting_upload_holds_nobody_up(
    store: MetadataStore, raw: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    """An upload whose blob someone has locked delays those that share its statement, no more."""
    locked, free = make_content("locked"), make_content("free")
    await store_object(store, None, locked)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM blobs FOR UPDATE")
    outcomes = [
        Outcome(lambda content=content: store_object(store, None, content))  # type: ignore[misc]
        for content in (locked, free)
    ]
    async with anyio.create_task_group() as tasks:
        for outcome in outcomes:
            tasks.start_soon(outcome)
        with anyio.fail_after(10):
            while outcomes[1].result is None:
                await watcher.fetchval("SELECT 1")
        assert outcomes[0].result is None
        await transaction.rollback()
    assert isinstance(outcomes[0].result, Committed)


async def test_drift_cannot_make_a_collector_take_what_is_held(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """R04: a count of 0 by a wrong hand: the second look refuses, and so does the foreign key."""
    content = make_content("held")
    await store_object(store, None, content)
    await raw.execute("UPDATE blobs SET ref_count = 0, zero_since = now()")
    claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=lambda *_: True)
    moved: list[Blob] = []

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        moved.extend(blobs)
        return []

    removal = await store.blobs.remove([blob.key for blob in claimed], move)
    assert removal == Removal([], [key_of(content)], []) and moved == []
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await raw.execute("DELETE FROM blobs")
    [drift] = await store.blobs.recount([key_of(content)], repair=True)
    assert (drift.recorded, drift.actual) == (0, 1)


async def test_a_count_is_never_clamped(store: MetadataStore, raw: asyncpg.Connection) -> None:
    """A release below zero is an error that is heard, and changes nothing."""
    content = make_content("drifted")
    done = await store_object(store, None, content)
    await raw.execute("UPDATE blobs SET ref_count = 0, zero_since = now()")
    with pytest.raises(BackendError):
        await store.objects.delete(TENANT, done.object.id)
    assert await store.objects.find(TENANT, done.object.id) is not None
    await store.blobs.recount([key_of(content)], repair=True)


async def test_collectors_share_the_work(store: MetadataStore, raw: asyncpg.Connection) -> None:
    """R05: rows that another collector is claiming are skipped, not waited for."""
    contents = [make_content(name) for name in ("one", "two")]
    for content in contents:
        done = await store_object(store, None, content)
        await store.objects.delete(TENANT, done.object.id)
    async with raw.transaction():
        first = await raw.fetchval("SELECT content_hash FROM blobs LIMIT 1 FOR UPDATE")
        claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=lambda *_: True)
    assert [blob.key.content_hash for blob in claimed] == [
        content.content_hash for content in contents if content.content_hash != first
    ]


async def test_two_puts_of_one_key_both_succeed_and_the_last_stays(
    store: MetadataStore,
    other_store: MetadataStore,
    raw: asyncpg.Connection,
    watcher: asyncpg.Connection,
) -> None:
    """R07: commits from two processes that wait for the same holder go one after the other."""
    held = await store_object(store, make_intent("k"), make_content("old"))
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM objects FOR UPDATE")
    puts = [
        Outcome(
            lambda at=at, name=name: store_object(  # type: ignore[misc]
                at, make_intent("k", replace=True), make_content(name)
            )
        )
        for at, name in ((store, "a"), (other_store, "b"))
    ]
    async with anyio.create_task_group() as tasks:
        for put in puts:
            tasks.start_soon(put)
        await until_waiting(watcher, 2)
        await transaction.rollback()
    replaced = {put.result.replaced for put in puts}
    ids = {put.result.object.id for put in puts}
    assert held.object.id in replaced and len(replaced & ids) == 1
    [last] = ids - replaced
    found = await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("k"))
    assert found is not None and found.id == last
    assert await audit_metadata(store) == []


@pytest.mark.parametrize("replace", [True, False])
async def test_a_holder_that_appears_during_the_commit(
    store: MetadataStore,
    raw: asyncpg.Connection,
    watcher: asyncpg.Connection,
    replace: bool,
) -> None:
    """R07: what took the key after our snapshot is waited for, then replaced or reported."""
    other = await store_object(store, make_intent("other"), make_content("other"))
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("UPDATE objects SET key = 'k'")
    put = Outcome(lambda: store_object(store, make_intent("k", replace=replace), make_content("n")))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put)
        await until_waiting(watcher)
        await transaction.commit()
    if replace:
        assert put.result.replaced == other.object.id
    else:
        assert isinstance(put.error, KeyConflict)
        assert put.error.fields["object_id"] == other.object.id
    assert await audit_metadata(store) == []


async def test_a_condition_counts_when_the_commit_happens(
    store: MetadataStore, raw: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    """If-None-Match: * that held at begin fails at commit when the key was taken meanwhile."""
    await store_object(store, make_intent("other"), make_content("other"))
    create = Conditions(if_none_match=frozenset())
    intent = make_intent("k", replace=True, conditions=create)
    reserved = await store.objects.begin_reserved(intent, make_content("n"), lease_s=60)
    assert isinstance(reserved, Reservation)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("UPDATE objects SET key = 'k' WHERE status = 'COMMITTED'")
    commit = Outcome(lambda: store.objects.commit(reserved.lease, "hot/n"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit)
        await until_waiting(watcher)
        await transaction.commit()
    assert isinstance(commit.error, PreconditionFailed)
    await store.objects.abort(reserved.lease)


async def test_a_deadlock_is_tried_again(
    store: MetadataStore, raw: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    """R08: the victim of a deadlock succeeds at its next attempt, and its caller never knows."""
    done = await store_object(store, None, make_content("c"))
    await raw.execute("SET deadlock_timeout = '20s'")  # so that the store is the victim
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM blobs FOR UPDATE")
    delete = Outcome(lambda: store.objects.delete(TENANT, done.object.id))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delete)
        await until_waiting(watcher)
        await raw.execute("SELECT FROM objects FOR UPDATE")
        await transaction.rollback()
    assert delete.result.status is ObjectStatus.DELETING
    assert await audit_metadata(store) == []


async def test_hot_and_cold_are_counted_apart(store: MetadataStore) -> None:
    """R10: the same bytes in both classes are two blobs; removing one leaves the other."""
    content = make_content("both")
    hot = await store_object(store, None, content)
    await store_object(store, make_intent(storage_class=StorageClass.COLD), content)
    await store.objects.delete(TENANT, hot.object.id)
    claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=lambda *_: True)
    assert [blob.key for blob in claimed] == [key_of(content)]
    left = await store.blobs.find([key_of(content, StorageClass.COLD)])
    assert [blob.ref_count for blob in left.values()] == [1]


async def test_a_delete_that_waits_for_a_move_releases_the_right_blob(
    store: MetadataStore, raw: asyncpg.Connection, watcher: asyncpg.Connection
) -> None:
    """A row that changed while it was waited for counts down a blob that the snapshot lacks."""
    content = make_content("moving")
    done = await store_object(store, None, content)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM objects FOR UPDATE")
    delete = Outcome(lambda: store.objects.delete(TENANT, done.object.id))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delete)
        await until_waiting(watcher)
        await raw.execute(
            "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, first_seen_at)"
            " SELECT content_hash, 'cold', size_bytes, 1, now() FROM blobs"
        )
        await raw.execute("UPDATE objects SET storage_class = 'cold'")
        await raw.execute("UPDATE blobs SET ref_count = 0 WHERE storage_class = 'hot'")
        await transaction.commit()
    assert delete.error is None
    assert [blob.ref_count for blob in await store.blobs.scan(after=None, limit=9)] == [0, 0]


async def test_the_reaper_passes_over_what_is_being_committed(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """R11: an upload whose row is locked is not waited for; one that was reaped cannot commit."""
    content = make_content("slow")
    lease = await store.objects.begin(make_intent("k"), lease_s=0)
    await store.objects.reserve(lease, content)
    async with raw.transaction():
        await raw.execute("SELECT FROM objects FOR UPDATE")
        assert await store.objects.reap(limit=9) == []
    assert await store.objects.reap(limit=9) == [lease.object.id]
    with pytest.raises(UploadExpired):
        await store.objects.commit(lease, "hot/slow")


async def test_a_frozen_collector_whose_connection_was_cut(
    store: MetadataStore, other_store: MetadataStore, watcher: asyncpg.Connection
) -> None:
    """R19: it wakes up in a transaction that is gone: its removal fails, the new upload stays."""
    content = make_content("frozen")
    claimed = await make_garbage(store, content)
    uploads: list[Committed] = []

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        await watcher.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        uploads.append(await store_object(other_store, None, content))
        return [blob.key for blob in blobs]

    with pytest.raises(Unavailable):
        await store.blobs.remove(claimed, move)
    blob = (await store.blobs.find(claimed))[claimed[0]]
    assert (blob.ref_count, blob.locator) == (1, uploads[0].object.locator)
    assert await audit_metadata(store) == []


async def test_equal_contents_in_one_batch(store: MetadataStore) -> None:
    """Uploads of one content that share a statement count up once each."""
    content = make_content("equal")
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(store_object, store, None, content)
    assert (await store.blobs.find([key_of(content)]))[key_of(content)].ref_count == 40


async def test_one_key_in_one_batch(store: MetadataStore) -> None:
    """Of POSTs that share a statement one gets the key; PUTs all succeed and one of them stays."""
    posts = [Outcome(lambda: store.objects.begin(make_intent("post"), lease_s=60)) for _ in "abcde"]
    puts = [
        Outcome(
            lambda name=name: store_object(  # type: ignore[misc]
                store, make_intent("put", replace=True), make_content(name)
            )
        )
        for name in "abcde"
    ]
    async with anyio.create_task_group() as tasks:
        for outcome in [*posts, *puts]:
            tasks.start_soon(outcome)
    assert [type(each.error) for each in posts].count(KeyConflict) == 4
    assert [each.error for each in puts] == [None] * 5
    replaced = {each.result.replaced for each in puts}
    assert len(replaced) == 5 and None in replaced
    assert await audit_metadata(store) == []


async def test_a_bad_item_fails_alone(store: MetadataStore, raw: asyncpg.Connection) -> None:
    """An item that makes the shared statement fail leaves its neighbours their answers."""
    wrong = make_content("wrong")
    await store_object(store, None, wrong)
    await raw.execute("UPDATE blobs SET size_bytes = size_bytes + 1")
    leases = [await store.objects.begin(make_intent(), lease_s=60) for _ in range(3)]
    contents = [make_content("x"), wrong, make_content("y")]
    outcomes = [
        Outcome(lambda lease=lease, content=content: store.objects.reserve(lease, content))  # type: ignore[misc]
        for lease, content in zip(leases, contents, strict=True)
    ]
    async with anyio.create_task_group() as tasks:
        for outcome in outcomes:
            tasks.start_soon(outcome)
    assert [type(each.error).__name__ for each in outcomes] == ["NoneType", "Corrupt", "NoneType"]
    await raw.execute("UPDATE blobs SET size_bytes = size_bytes - 1 WHERE stored_at IS NOT NULL")
