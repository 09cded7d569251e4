"""Collecting when something fails, is kept, or is cancelled: nothing stalls, nothing is lost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio
import msgspec

from juststorage.domain import BlobKey, ObjectId, StorageClass
from juststorage.errors import Unavailable
from juststorage.ports import Content, Decision, GarbageCandidate, GCPolicy


async def test_a_removal_that_fails_puts_the_bytes_back(service: Any) -> None:
    """When the transaction fails after the bytes moved, they move back."""
    await service.deleted(b"abc")
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
    await service.deleted(b"abc")
    intent = service.intent()
    await service.metadata.objects.begin(intent, lease_s=0)

    async def broken(**_: Any) -> Any:
        raise Unavailable("the volume is gone")

    service.blobs[StorageClass.COLD].trash = broken
    report = await service.collect().run()
    assert (report.removed, report.reaped, report.errors) == (1, 1, 1)


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
        await service.deleted(b"kept %d" % number)
    young = await service.deleted(b"young")
    service.policy = policy = Keeps(young.content_hash)
    assert (await service.collect().run(dry_run=True)).removed == 1
    policy.asked = 0
    report = await service.collect().run()
    assert (report.removed, report.more, policy.asked) == (1, False, 101)


async def test_a_run_that_looks_at_too_much_is_continued_by_the_next(service: Any) -> None:
    """A run has a limit on what it looks at; successive runs come past everything, and again."""
    for number in range(25):
        await service.deleted(b"kept %d" % number)
        await service.clock.advance(1)
    young = await service.deleted(b"young")
    service.policy = policy = Keeps(young.content_hash)
    collect = service.collect(
        msgspec.structs.replace(service.at_once, run_blobs_max=1, batch_size=1)
    )
    first = await collect.run()
    # Not `more`: there is nothing to hurry for.
    assert (first.removed, first.more, policy.asked) == (0, False, 10)
    assert [(await collect.run()).removed for _ in range(2)] == [0, 1]
    policy.wanted = (service.hasher.hash(b"kept 0"),)
    assert [(await collect.run()).removed for _ in range(4)].count(1) == 1


async def test_a_cancelled_move_is_put_back(service: Any) -> None:
    """What had moved when the collector was cancelled is where it was, wherever that was."""
    await service.deleted(b"one")
    await service.deleted(b"two")
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
    await service.deleted(b"one")
    await service.deleted(b"two")
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
