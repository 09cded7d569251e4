"""Collections: space comes back, and nothing that is referred to goes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import BlobKey, ObjectId, StorageClass
from juststorage.errors import Unavailable
from juststorage.ports import Content, Decision, GarbageCandidate, GCPolicy
from juststorage.testing import audit_metadata
from juststorage.usecases import CollectionLimits, CollectionReport

NOW = CollectionLimits(
    grace_s=0, trash_retention_s=0, staging_grace_s=0, tombstone_retention_s=0, batch_size=4
)


async def deleted(service: Any, data: bytes) -> Any:
    """An object that was there, and whose bytes are garbage now."""
    found = (await service.upload().whole(service.intent(), data)).object
    await service.metadata.objects.delete(found.tenant_id, found.id)
    return found


async def test_garbage_goes_and_is_counted(service: Any) -> None:
    """Bytes without references are removed; the report says how many."""
    for number in range(11):
        await deleted(service, b"%02d" % number)
    kept = (await service.upload().whole(service.intent(), b"kept")).object
    report = await service.collect().run()
    assert (report.claimed, report.removed, report.bytes_removed) == (11, 11, 22)
    assert report.errors == 0
    assert await service.placed() == [kept.locator]
    assert await service.content(kept) == b"kept"


async def test_a_dry_run_changes_nothing(service: Any) -> None:
    """A dry run counts what would go and leaves it."""
    await deleted(service, b"abc")
    report = await service.collect().run(dry_run=True)
    assert (report.removed, report.bytes_removed) == (1, 3)
    assert len(await service.placed()) == 1
    assert (await service.collect().run()).removed == 1


async def test_grace_is_kept_and_can_be_overridden(service: Any) -> None:
    """Garbage younger than the grace stays, unless the run is told another grace."""
    await deleted(service, b"abc")
    patient = service.collect(msgspec.structs.replace(service.collect()._limits, grace_s=100))
    assert (await patient.run()).removed == 0
    assert (await patient.run(grace_s=0)).removed == 1


async def test_a_run_stops_at_its_limit(service: Any) -> None:
    """A run removes no more than it may, and says that there is more."""
    for number in range(9):
        await deleted(service, b"%d" % number)
    limited = service.collect(
        msgspec.structs.replace(service.collect()._limits, run_blobs_max=4, batch_size=4)
    )
    report = await limited.run()
    assert (report.removed, report.more) == (4, True)


async def test_uploads_without_lease_are_reaped_and_swept(service: Any) -> None:
    """What a dead upload held and staged is given back (R12)."""
    intent = service.intent("k")
    await service.metadata.objects.begin(intent, lease_s=0)
    staged = await service.blobs[StorageClass.HOT].stage(intent.new.id)
    await staged.write(b"half")
    report = await service.collect().run()
    assert (report.reaped, report.swept) == (1, 1)
    assert await service.staged() == 0


async def test_a_live_upload_keeps_its_staging(service: Any) -> None:
    """A slow upload whose lease holds is left alone, whatever the sweeper's grace (R11)."""
    intent = service.intent("k")
    await service.metadata.objects.begin(intent, lease_s=600)
    await service.blobs[StorageClass.HOT].stage(intent.new.id)
    assert (await service.collect().run()).swept == 0
    assert await service.staged() == 1


async def test_a_placed_blob_without_row_is_adopted_then_collected(service: Any) -> None:
    """An orphan gets a row, never a deletion, and goes the way of all garbage (R13)."""
    store = service.blobs[StorageClass.HOT]
    content_hash = service.hasher.hash(b"orphan")
    await store.put(service.intent().new.id, content_hash, b"orphan")
    report = await service.collect().run()
    assert (report.adopted, report.removed) == (1, 0)
    assert (await service.collect().run()).removed == 1
    assert await service.placed() == []


async def test_trash_that_a_row_names_goes_back(service: Any) -> None:
    """After a database was restored to an earlier time, the purge restores what it names (R22)."""
    found = (await service.upload().whole(service.intent(), b"abc")).object
    await service.blobs[StorageClass.HOT].remove([found.locator])
    report = await service.collect().run()
    assert (report.restored, report.purged) == (1, 0)
    assert await service.content(found) == b"abc"


async def test_trash_that_an_upload_may_commit_is_not_purged(service: Any) -> None:
    """A file that was moved before its upload's commit is not gone for good by then (R19)."""
    intent, content = service.intent(), Content(service.hasher.hash(b"abc"), 3)
    objects, store = service.metadata.objects, service.blobs[StorageClass.HOT]
    reserved = await objects.begin_reserved(intent, content, lease_s=60)
    locator = await store.put(intent.new.id, content.content_hash, b"abc")
    await store.remove([locator])  # by a collector that was frozen since its transaction died
    report = await service.collect().run()
    assert (report.restored, report.purged) == (0, 0)
    committed = await objects.commit(reserved.lease, locator)
    assert await service.content(committed.object) == b"abc"


async def test_trash_of_an_upload_that_was_given_up_is_purged(service: Any) -> None:
    """Without a reference nobody will commit it."""
    intent, content = service.intent(), Content(service.hasher.hash(b"abc"), 3)
    store = service.blobs[StorageClass.HOT]
    await service.metadata.objects.begin_reserved(intent, content, lease_s=0)
    await store.remove([await store.put(intent.new.id, content.content_hash, b"abc")])
    assert (await service.collect().run()).purged == 1


async def test_a_drifted_count_is_looked_at_once_in_a_run(service: Any) -> None:
    """A blob that cannot be removed is not claimed over and over, and stalls nothing behind it."""
    kept = (await service.upload().whole(service.intent(), b"abc")).object
    await deleted(service, b"garbage")
    rows = service.metadata.blobs._rows.blobs
    key = BlobKey(kept.content_hash, StorageClass.HOT)
    rows[key] = msgspec.structs.replace(rows[key], ref_count=0, zero_since=kept.created_at)
    report = await service.collect().run()
    assert (report.claimed, report.removed, report.more) == (2, 1, False)
    assert await service.content(kept) == b"abc"


async def test_an_upload_that_reserves_claimed_bytes_keeps_them(service: Any) -> None:
    """A blob that is reserved between claim and removal is taken back (R01)."""
    gone = await deleted(service, b"abc")
    key = BlobKey(gone.content_hash, StorageClass.HOT)
    rows = service.metadata.blobs
    [claimed] = await rows.claim(grace_s=0, claim_s=300, limit=10, agree=lambda blob, now: True)
    done = await service.upload().whole(service.intent(), b"abc")
    touched: list[Any] = []

    async def move(blobs: Any) -> list[BlobKey]:
        touched.extend(blobs)
        return [blob.key for blob in blobs]

    removal = await rows.remove([claimed.key], move)
    assert (removal.taken_back, touched) == ([key], [])
    assert await service.content(done.object) == b"abc"


async def test_a_removal_that_fails_puts_the_bytes_back(service: Any) -> None:
    """When the transaction fails after the bytes moved, they move back."""
    await deleted(service, b"abc")
    rows, remove = service.metadata.blobs, service.metadata.blobs.remove

    async def fails(claimed: Any, move: Any) -> Any:
        async def moved_then_lost(blobs: Any) -> Any:
            await move(blobs)
            raise Unavailable("the connection was cut")

        return await remove(claimed, moved_then_lost)

    rows.remove = fails
    report = await service.collect().run()
    assert (report.removed, report.errors) == (0, 1)
    assert len(await service.placed()) == 1


async def test_a_store_that_fails_stalls_nothing_else(service: Any) -> None:
    """A step that fails is counted and the others go on."""
    await deleted(service, b"abc")
    intent = service.intent()
    await service.metadata.objects.begin(intent, lease_s=0)

    async def broken(**_: Any) -> Any:
        raise Unavailable("the volume is gone")

    service.blobs[StorageClass.COLD].trash = broken
    report = await service.collect().run()
    assert (report.removed, report.reaped, report.errors) == (1, 1, 1)


@pytest.mark.parametrize("storage_class", list(StorageClass))
async def test_tombstones_are_forgotten(service: Any, storage_class: StorageClass) -> None:
    """Deleted objects become tombstones, and those go after their retention."""
    intent = service.intent("k", storage_class=storage_class)
    found = (await service.upload().whole(intent, b"abc")).object
    other = (
        await service.upload().whole(service.intent(storage_class=storage_class), b"abc")
    ).object
    await service.metadata.objects.delete(found.tenant_id, found.id)
    report = await service.collect().run()
    assert report.buried == 1
    assert report.forgotten == 1
    left = await service.metadata.objects.scan(after=None, limit=10)
    assert [stored.id for stored in left] == [other.id]
    await audit_metadata(service.metadata)


async def test_reserving_in_both_classes_counts_apart(service: Any) -> None:
    """The same bytes hot and cold are two blobs; collecting one leaves the other (R10)."""
    hot = (await service.upload().whole(service.intent(), b"abc")).object
    cold = (
        await service.upload().whole(service.intent(storage_class=StorageClass.COLD), b"abc")
    ).object
    await service.metadata.objects.delete(hot.tenant_id, hot.id)
    assert (await service.collect().run()).removed == 1
    assert await service.content(cold) == b"abc"


async def test_an_abandoned_reservation_is_collected(service: Any) -> None:
    """A blob that was reserved and never placed leaves no row behind."""
    lease = await service.metadata.objects.begin(service.intent(), lease_s=0)
    content = Content(service.hasher.hash(b"abc"), 3)
    await service.metadata.objects.reserve(lease, content)
    await service.collect().run()
    assert await service.metadata.blobs.scan(after=None, limit=10) == []


# -- one bad thing hides nothing ----------------------------------------------------------------


async def trashed(service: Any, data: bytes) -> str:
    """Bytes in the trash that no row names."""
    store = service.blobs[StorageClass.HOT]
    locator: str = await store.put(service.intent().new.id, service.hasher.hash(data), data)
    await store.remove([locator])
    return locator


async def test_what_cannot_be_purged_is_counted_and_passed_over(service: Any) -> None:
    """An entry whose deletion fails costs that entry, in this run, and nothing else."""
    bad = await trashed(service, b"bad")
    for number in range(5):
        await trashed(service, b"good %d" % number)
    store = service.blobs[StorageClass.HOT]
    purge = store.purge

    async def fails(entries: Any) -> None:
        await purge([entry for entry in entries if entry.locator != bad])
        if any(entry.locator == bad for entry in entries):
            raise Unavailable("an input/output error")

    store.purge = fails
    report = await service.collect().run()
    assert (report.purged, report.errors) == (5, 1)
    assert [entry.locator for entry in await store.trash(older_than_s=0, limit=9)] == [bad]


async def test_what_cannot_be_put_back_is_counted_and_passed_over(service: Any) -> None:
    """An entry that a row names and that does not come back stays; the others go their way."""
    lost = (await service.upload().whole(service.intent(), b"lost")).object
    back = (await service.upload().whole(service.intent(), b"back")).object
    store = service.blobs[StorageClass.HOT]
    await store.remove([lost.locator, back.locator])
    await trashed(service, b"garbage")
    restore = store.restore

    async def fails(locator: str) -> Any:
        if locator == lost.locator:
            raise Unavailable("an input/output error")
        return await restore(locator)

    store.restore = fails
    report = await service.collect().run()
    assert (report.restored, report.purged, report.errors) == (1, 1, 1)
    assert [entry.locator for entry in await store.trash(older_than_s=0, limit=9)] == [lost.locator]


async def test_a_page_of_trash_that_has_to_stay_hides_nothing(service: Any) -> None:
    """The walk goes on behind what uploads may still commit (R19)."""
    objects, store = service.metadata.objects, service.blobs[StorageClass.HOT]
    for number in range(1001):
        data = b"%04d" % number
        intent, content = service.intent(), Content(service.hasher.hash(data), 4)
        await objects.begin_reserved(intent, content, lease_s=3600)
        await store.remove([await store.put(intent.new.id, content.content_hash, data)])
    await trashed(service, b"garbage")
    report = await service.collect().run()
    assert (report.purged, report.errors) == (1, 0)
    assert len(await store.trash(older_than_s=0, limit=2000)) == 1001


async def test_what_cannot_be_discarded_is_counted_and_passed_over(service: Any) -> None:
    """The same with staged bytes: the others are swept."""
    store = service.blobs[StorageClass.HOT]
    uploads = [service.intent().new.id for _ in range(4)]
    for upload_id in uploads:
        await store.stage(upload_id)
    discard = store.discard

    async def fails(entries: Any) -> None:
        await discard([entry for entry in entries if entry.upload_id != uploads[1]])
        if any(entry.upload_id == uploads[1] for entry in entries):
            raise Unavailable("an input/output error")

    store.discard = fails
    report = await service.collect().run()
    assert (report.swept, report.errors) == (3, 1)


async def test_a_page_of_live_uploads_hides_no_dead_one(service: Any) -> None:
    """The sweeper goes on behind slow uploads, however many there are."""
    store = service.blobs[StorageClass.HOT]
    dead = ObjectId("ffffffff-ffff-7fff-bfff-ffffffffffff")
    for _ in range(1001):
        intent = service.intent()
        await service.metadata.objects.begin(intent, lease_s=3600)
        await store.stage(intent.new.id)
    await store.stage(dead)
    assert (await service.collect().run()).swept == 1


class Keeps(GCPolicy):
    """Keeps all garbage but these bytes."""

    def __init__(self, *wanted: Any) -> None:
        self.wanted = wanted
        self.asked = 0

    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        self.asked += 1
        hit = candidate.blob.key.content_hash in self.wanted
        return Decision.COLLECT if hit else Decision.KEEP


async def test_garbage_that_is_kept_hides_none_that_is_not(service: Any) -> None:
    """However much old garbage the policy keeps, a run gets to the youngest."""
    for number in range(100):
        await deleted(service, b"kept %d" % number)
    young = await deleted(service, b"young")
    service.policy = policy = Keeps(young.content_hash)
    assert (await service.collect().run(dry_run=True)).removed == 1
    policy.asked = 0
    report = await service.collect().run()
    assert (report.removed, report.more, policy.asked) == (1, False, 101)


async def test_a_run_that_looks_at_too_much_is_continued_by_the_next(service: Any) -> None:
    """A run has a limit on what it looks at; successive runs come past everything, and again."""
    for number in range(25):
        await deleted(service, b"kept %d" % number)
        await service.clock.advance(1)
    young = await deleted(service, b"young")
    service.policy = policy = Keeps(young.content_hash)
    collect = service.collect(msgspec.structs.replace(NOW, run_blobs_max=1, batch_size=1))
    first = await collect.run()
    # Not `more`: there is nothing to hurry for.
    assert (first.removed, first.more, policy.asked) == (0, False, 10)
    assert [(await collect.run()).removed for _ in range(2)] == [0, 1]
    policy.wanted = (service.hasher.hash(b"kept 0"),)
    assert [(await collect.run()).removed for _ in range(4)].count(1) == 1


async def test_a_cancelled_move_is_put_back(service: Any) -> None:
    """What had moved when the collector was cancelled is where it was, wherever that was."""
    await deleted(service, b"one")
    await deleted(service, b"two")
    placed = await service.placed()
    store = service.blobs[StorageClass.HOT]
    remove, moved = store.remove, anyio.Event()

    async def halfway(locators: Any) -> Any:
        await remove(locators[:1])
        moved.set()
        await anyio.sleep_forever()

    store.remove = halfway
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.collect().run)
        await moved.wait()
        tasks.cancel_scope.cancel()
    store.remove = remove
    assert await service.placed() == placed


async def test_a_store_that_fails_halfway_is_put_back(service: Any) -> None:
    """A removal that ends in an error may have moved some: their rows stay, so they come back."""
    await deleted(service, b"one")
    await deleted(service, b"two")
    placed = await service.placed()
    store = service.blobs[StorageClass.HOT]
    remove = store.remove

    async def halfway(locators: Any) -> Any:
        await remove(locators[:1])
        raise Unavailable("an input/output error")

    store.remove = halfway
    report = await service.collect().run()
    assert (report.removed, report.errors) == (0, 2)
    assert await service.placed() == placed


async def test_a_drifted_count_costs_no_trust(service: Any) -> None:
    """Bytes that a claim distrusted because of a wrong count are trusted again (R04)."""
    kept = (await service.upload().whole(service.intent(), b"abc")).object
    rows = service.metadata.blobs._rows.blobs
    key = BlobKey(kept.content_hash, StorageClass.HOT)
    rows[key] = msgspec.structs.replace(rows[key], ref_count=0, zero_since=kept.created_at)
    report = await service.collect().run()
    assert (report.claimed, report.removed, report.errors) == (1, 0, 0)
    assert rows[key].stored_at is not None and rows[key].claimed_until is None


async def test_one_run_at_a_time(service: Any) -> None:
    """Of one collector, a second run waits for the first, and not for ever."""
    await deleted(service, b"abc")
    inside, leave = anyio.Event(), anyio.Event()
    store, collect = service.blobs[StorageClass.HOT], service.collect()
    remove = store.remove

    async def slow(locators: Any) -> Any:
        inside.set()
        await leave.wait()
        return await remove(locators)

    store.remove = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect.run)
        await inside.wait()
        with pytest.raises(Unavailable):
            await collect.run(wait_s=0)
        assert (await collect.run(dry_run=True)).dry_run
        leave.set()
    assert (await collect.run(wait_s=0)).errors == 0


async def test_a_run_ends_in_time(service: Any) -> None:
    """With a time limit a run stops after the page in hand, and says that there is more."""
    for number in range(9):
        await deleted(service, b"%d" % number)
    report = await service.collect().run(seconds_max=0)
    assert (report.removed, report.more) == (0, True)
    limited = service.collect(msgspec.structs.replace(NOW, rate_max_blobs_s=1))
    reports: list[CollectionReport] = []

    async def run() -> None:
        reports.append(await limited.run(seconds_max=3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not reports:
            await service.clock.advance(1)
    assert (reports[0].removed, reports[0].more) == (4, True)
