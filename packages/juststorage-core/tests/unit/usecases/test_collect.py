"""Collections: space comes back, and nothing that is referred to goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import BlobKey, StorageClass
from juststorage.errors import Unavailable
from juststorage.ports import Content
from juststorage.testing import audit_metadata
from juststorage.usecases import CollectGarbage, CollectionReport


async def test_garbage_goes_and_is_counted(service: Any) -> None:
    """Bytes without references are removed; the report says how many."""
    for number in range(11):
        await service.deleted(b"%02d" % number)
    kept = (await service.upload().whole(service.intent(), b"kept")).object
    report = await service.collect().run()
    assert (report.claimed, report.removed, report.bytes_removed) == (11, 11, 22)
    assert report.errors == 0
    assert await service.placed() == [kept.locator]
    assert await service.content(kept) == b"kept"


async def test_a_dry_run_changes_nothing(service: Any) -> None:
    """A dry run counts what would go and leaves it."""
    await service.deleted(b"abc")
    report = await service.collect().run(dry_run=True)
    assert (report.removed, report.bytes_removed) == (1, 3)
    assert len(await service.placed()) == 1
    assert (await service.collect().run()).removed == 1


async def test_grace_is_kept_and_can_be_overridden(service: Any) -> None:
    """Garbage younger than the grace stays, unless the run is told another grace."""
    await service.deleted(b"abc")
    patient = service.collect(msgspec.structs.replace(service.collect()._limits, grace_s=100))
    assert (await patient.run()).removed == 0
    assert (await patient.run(grace_s=0)).removed == 1


async def test_a_run_stops_at_its_limit(service: Any) -> None:
    """A run removes no more than it may, and says that there is more."""
    for number in range(9):
        await service.deleted(b"%d" % number)
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
    await service.deleted(b"garbage")
    rows = service.metadata.blobs._rows.blobs
    key = BlobKey(kept.content_hash, StorageClass.HOT)
    rows[key] = msgspec.structs.replace(rows[key], ref_count=0, zero_since=kept.created_at)
    report = await service.collect().run()
    assert (report.claimed, report.removed, report.more) == (2, 1, False)
    assert await service.content(kept) == b"abc"


async def test_an_upload_that_reserves_claimed_bytes_keeps_them(service: Any) -> None:
    """A blob that is reserved between claim and removal is taken back (R01)."""
    gone = await service.deleted(b"abc")
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


async def test_one_run_at_a_time(service: Any) -> None:
    """Of one collector, a second run waits for the first, and not for ever."""
    await service.deleted(b"abc")
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
        await service.deleted(b"%d" % number)
    report = await service.collect().run(seconds_max=0)
    assert (report.removed, report.more) == (0, True)
    limited = service.collect(msgspec.structs.replace(service.at_once, rate_max_blobs_s=1))
    reports: list[CollectionReport] = []

    async def run() -> None:
        reports.append(await limited.run(seconds_max=3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not reports:
            await service.clock.advance(1)
    assert (reports[0].removed, reports[0].more) == (4, True)


async def test_a_pause_ends_a_run(service: Any) -> None:
    """After the page in hand, with no further step; nothing is begun while it lasts."""
    for number in range(9):
        await service.deleted(b"%d" % number)
    steps: list[str] = []
    asked = 0
    pauses = True

    @contextmanager
    def noted(name: str) -> Iterator[None]:
        steps.append(name)
        yield

    def is_paused() -> bool:
        nonlocal asked
        asked += steps[-1:] == ["remove"]
        return pauses and asked > 1

    collect = CollectGarbage(
        service.metadata,
        service.blobs,
        service.policy,
        clock=service.clock,
        limits=service.at_once,
        around=noted,
        is_paused=is_paused,
    )
    report = await collect.run()
    assert (report.removed, report.more) == (service.at_once.batch_size, True)
    assert steps == ["run", "reap", "remove"]
    report = await collect.run()
    assert (report.removed, report.more, steps[3:]) == (0, True, ["run"])
    pauses = False
    assert (await collect.run()).removed == 9 - service.at_once.batch_size
