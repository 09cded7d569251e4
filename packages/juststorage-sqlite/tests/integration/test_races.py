"""The named races, with two stores on one file: what two processes would do, step by step."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from juststorage.domain import Blob, BlobKey, Conditions, StorageClass
from juststorage.errors import Corrupt, KeyConflict, UploadExpired
from juststorage.ports import Committed, MetadataStore, Reservation
from juststorage.testing import (
    FakeClock,
    audit_metadata,
    make_content,
    make_intent,
    store_object,
)

CONTENT = make_content("the same bytes")
KEY = BlobKey(CONTENT.content_hash, StorageClass.HOT)


def always(blob: Blob, now: datetime) -> bool:
    """A policy that collects everything."""
    return True


async def move_all(blobs: Sequence[Blob]) -> Collection[BlobKey]:
    """A move that always works."""
    return [blob.key for blob in blobs]


async def make_garbage(store: MetadataStore) -> None:
    """The content, stored and deleted."""
    committed = await store_object(store, None, CONTENT)
    await store.objects.delete(committed.object.tenant_id, committed.object.id)


async def claim(store: MetadataStore, *, claim_s: float = 60) -> list[BlobKey]:
    """Claim whatever is garbage."""
    claimed = await store.blobs.claim(grace_s=0, claim_s=claim_s, limit=10, agree=always)
    return [blob.key for blob in claimed]


def meddle(path: Path, statement: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


async def test_r01_an_upload_takes_a_claimed_blob_back(
    store: MetadataStore, other: MetadataStore
) -> None:
    """A deduplicating upload between claim and removal keeps the blob, and places its bytes."""
    await make_garbage(store)
    claimed = await claim(store)
    reservation = await other.objects.begin_reserved(make_intent(), CONTENT, lease_s=60)
    assert isinstance(reservation, Reservation)
    assert reservation.locator is None
    removal = await store.blobs.remove(claimed, move_all)
    assert (removal.removed, removal.taken_back) == ([], [KEY])
    await other.objects.commit(reservation.lease, "placed again")
    assert await audit_metadata(store) == []


async def test_r02_an_upload_waits_for_a_removal(
    store: MetadataStore, other: MetadataStore
) -> None:
    """While bytes move, an upload of them in another process waits, then makes its own row."""
    await make_garbage(store)
    claimed = await claim(store)
    found: list[Reservation | Committed] = []

    async def upload() -> None:
        found.append(await other.objects.begin_reserved(make_intent(), CONTENT, lease_s=60))

    async with anyio.create_task_group() as tasks:

        async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            tasks.start_soon(upload)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert found == []
            return [blob.key for blob in blobs]

        removal = await store.blobs.remove(claimed, move)
    assert [blob.key for blob in removal.removed] == [KEY]
    (reservation,) = found
    assert isinstance(reservation, Reservation)
    assert reservation.locator is None
    assert await audit_metadata(store) == []


async def test_r04_drift_does_not_fool_the_removal(store: MetadataStore, path: Path) -> None:
    """A count of 0 that is wrong is not believed: an object holds the blob, so it stays."""
    await store_object(store, None, CONTENT)
    meddle(path, "UPDATE blobs SET ref_count = 0, zero_since = 0")
    claimed = await claim(store)
    assert claimed == [KEY]
    moved: list[Blob] = []

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        moved.extend(blobs)
        return [blob.key for blob in blobs]

    removal = await store.blobs.remove(claimed, move)
    assert (moved, removal.removed, removal.taken_back) == ([], [], [KEY])
    (drift,) = await store.blobs.recount([KEY], repair=True)
    assert (drift.recorded, drift.actual) == (0, 1)


async def test_r04_a_count_below_zero_is_refused(store: MetadataStore, path: Path) -> None:
    """A release that the count does not cover is an error with no effect, not a silent zero."""
    committed = await store_object(store, None, CONTENT)
    meddle(path, "UPDATE blobs SET ref_count = 0, zero_since = 0")
    with pytest.raises(Corrupt):
        await store.objects.delete(committed.object.tenant_id, committed.object.id)
    assert await store.objects.find(committed.object.tenant_id, committed.object.id)


async def test_r05_two_collectors_share_the_garbage(
    store: MetadataStore, other: MetadataStore
) -> None:
    """What one collector has claimed the other does not see, and nothing is removed twice."""
    await make_garbage(store)
    first, second = await claim(store), await claim(other)
    assert (first, second) == ([KEY], [])
    assert len((await store.blobs.remove(first, move_all)).removed) == 1
    again = await other.blobs.remove(first, move_all)
    assert (again.removed, again.taken_back, again.failed) == ([], [], [])


async def test_r07_one_key_many_uploads(store: MetadataStore, other: MetadataStore) -> None:
    """Of many POSTs to one key in two processes one wins, and the others learn of it."""
    outcomes: list[str] = []

    async def post(target: MetadataStore, number: int) -> None:
        try:
            await store_object(target, make_intent("k"), make_content(f"{number}"))
            outcomes.append("stored")
        except KeyConflict:
            outcomes.append("conflict")

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(post, store if number % 2 else other, number)
    assert sorted(outcomes) == ["conflict"] * 19 + ["stored"]
    assert await audit_metadata(store) == []


async def test_r07_many_replacements_leave_one(store: MetadataStore, other: MetadataStore) -> None:
    """PUTs to one key all succeed, one after another; one object and one reference remain."""
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(
                store_object,
                store if number % 2 else other,
                make_intent("k", replace=True),
                make_content(f"{number % 3}"),
            )
    assert await audit_metadata(store) == []
    blobs = await store.blobs.scan(after=None, limit=10)
    assert sum(blob.ref_count for blob in blobs) == 1


async def test_r07_conditions_count_at_the_commit(
    store: MetadataStore, other: MetadataStore
) -> None:
    """Of conditional PUTs from the same state one wins: the condition is checked again."""
    first = await store_object(store, make_intent("k"), make_content("first"))
    assert first.object.content_hash is not None
    same = Conditions(if_match=frozenset({first.object.content_hash}))
    leases = []
    for number, target in enumerate((store, other)):
        intent = make_intent("k", replace=True, conditions=same)
        begun = await target.objects.begin_reserved(
            intent, make_content(f"next {number}"), lease_s=60
        )
        assert isinstance(begun, Reservation)
        leases.append((target, begun.lease))
    outcomes = []
    for target, lease in leases:
        try:
            outcomes.append((await target.objects.commit(lease, "there")).replaced)
        except Exception as error:  # noqa: BLE001 - compared below
            outcomes.append(type(error).__name__)
    assert outcomes == [first.object.id, "PreconditionFailed"]


async def test_r10_hot_and_cold_of_one_hash(store: MetadataStore) -> None:
    """Each class counts for itself: collecting the hot copy leaves the cold one."""
    hot = await store_object(store, make_intent(), CONTENT)
    cold = await store_object(store, make_intent(storage_class=StorageClass.COLD), CONTENT)
    await store.objects.delete(hot.object.tenant_id, hot.object.id)
    removal = await store.blobs.remove(await claim(store), move_all)
    assert [blob.key.storage_class for blob in removal.removed] == [StorageClass.HOT]
    assert await store.objects.find(cold.object.tenant_id, cold.object.id) == cold.object
    assert await audit_metadata(store) == []


async def test_r11_a_late_commit_resurrects_nothing(
    store: MetadataStore, other: MetadataStore, clock: FakeClock
) -> None:
    """An upload that was reaped elsewhere loses its lease for every step that it may still try."""
    reservation = await store.objects.begin_reserved(make_intent("k"), CONTENT, lease_s=10)
    assert isinstance(reservation, Reservation)
    await clock.advance(10)
    assert await other.objects.reap(limit=10) == [reservation.lease.object.id]
    with pytest.raises(UploadExpired):
        await store.objects.commit(reservation.lease, "late")
    with pytest.raises(UploadExpired):
        await store.objects.renew(reservation.lease, lease_s=10)
    await store.objects.abort(reservation.lease)
    assert (await store.blobs.find([KEY]))[KEY].ref_count == 0
    assert await audit_metadata(store) == []


async def test_r11_a_heartbeat_keeps_the_lease(
    store: MetadataStore, other: MetadataStore, clock: FakeClock
) -> None:
    """A slow upload that renews in time is nothing to the reaper."""
    lease = await store.objects.begin(make_intent("k"), lease_s=10)
    await clock.advance(9)
    await store.objects.renew(lease, lease_s=10)
    await clock.advance(9)
    assert await other.objects.reap(limit=10) == []
    await clock.advance(1)
    assert await other.objects.expired(older_than_s=0, limit=10) == [lease.object.id]


async def test_r19_a_frozen_collector_wakes_up(
    store: MetadataStore, other: MetadataStore, clock: FakeClock
) -> None:
    """A claim that ran out long ago does not let its collector take what was uploaded since."""
    await make_garbage(store)
    frozen = await claim(store, claim_s=10)
    await clock.advance(3600)
    committed = await store_object(other, make_intent(), CONTENT, locator="newer")
    moved: list[Blob] = []

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        moved.extend(blobs)
        return [blob.key for blob in blobs]

    removal = await store.blobs.remove(frozen, move)
    assert (moved, removal.removed, removal.taken_back) == ([], [], [KEY])
    assert await other.objects.find(committed.object.tenant_id, committed.object.id)
    assert await audit_metadata(store) == []


async def test_r19_a_collector_that_is_cancelled_while_it_moves(
    store: MetadataStore, other: MetadataStore
) -> None:
    """Its transaction is gone with it: the row is there, and others write at once."""
    await make_garbage(store)
    claimed = await claim(store)
    with anyio.CancelScope() as scope:

        async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError("not reached")

        await store.blobs.remove(claimed, move)
    assert set(await other.blobs.find([KEY])) == {KEY}
    await store_object(other, make_intent(), CONTENT)
    assert await audit_metadata(store) == []
