"""Collecting from a bucket: the races of the protocol, and answers that are lost or late."""

from __future__ import annotations

import pytest

from juststorage.domain import StorageClass
from juststorage.errors import Unavailable
from juststorage_objectstore.testing import FaultyProxy

# The same tests, with the world of this directory.
from tests.races.test_collecting import (
    test_r01_an_upload_before_the_claim_keeps_its_blob,
    test_r01_an_upload_that_has_not_reserved_yet,
    test_r05_two_collectors_share_the_garbage,
    test_r05_two_collectors_with_the_same_claim,
    test_r19_a_collector_frozen_between_two_transactions,
)
from tests.races.world import Process, World

__all__ = [
    "test_r01_an_upload_before_the_claim_keeps_its_blob",
    "test_r01_an_upload_that_has_not_reserved_yet",
    "test_r05_two_collectors_share_the_garbage",
    "test_r05_two_collectors_with_the_same_claim",
    "test_r19_a_collector_frozen_between_two_transactions",
]

DATA = b"the same bytes"
BIG = bytes(range(256)) * (9 * 1024 * 1024 // 256)


async def placed(process: Process) -> list[str]:
    """The generations that are in the bucket."""
    store = process.runtime.blobs[StorageClass.HOT]
    return [blob.locator for blob in await store.scan(after=None, limit=100)]


async def test_r01_an_upload_between_claim_and_removal_has_a_generation_of_its_own(
    world: World,
) -> None:
    """What was claimed is not counted on; the upload's own generation is what its row names."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    [old] = await placed(uploader)
    claimed = collector.stop("after blobs.claim")
    async with world.together() as start:
        collecting = start(collector.collect)
        await claimed.reached()
        uploaded = await uploader.upload(DATA)
        claimed.go()
        report = await collecting.result()
    assert (report.claimed, report.removed) == (1, 0)
    row = await uploader.row(DATA)
    assert row.locator != old
    assert await collector.read(uploaded) == DATA


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer"])
async def test_a_removal_that_fails_is_made_up_for(
    world: World, proxy: FaultyProxy, fault: str
) -> None:
    """Done or not, the collector that heard nothing counts an error, and the next one finishes."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    proxy.on("POST", fault, match=r"\?delete", times=99)  # type: ignore[arg-type]
    assert (await collector.collect()).errors >= 1
    proxy.heal()
    report = await collector.collect()
    assert (report.removed, report.errors) == (1, 0)
    assert await placed(uploader) == []


async def test_r18_a_late_delete_hits_a_dead_generation(world: World, proxy: FaultyProxy) -> None:
    """The delete was given up on, the bytes were uploaded anew, and then the delete happens."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    proxy.on("POST", "late", match=r"\?delete", times=99)
    report = await collector.collect()
    assert report.removed == 0
    proxy.heal()
    uploaded = await uploader.upload(DATA)
    assert len(await placed(uploader)) == 2
    assert set(proxy.deliver()) == {200}
    assert await placed(uploader) == [(await uploader.row(DATA)).locator]
    assert await uploader.read(uploaded) == DATA


async def test_r18_a_delete_that_never_happens_leaves_an_orphan(
    world: World, proxy: FaultyProxy
) -> None:
    """The generation that nobody names is swept; the one that a row names is not."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    proxy.on("POST", "cut", match=r"\?delete", times=99)
    await collector.collect()
    proxy.heal()
    uploaded = await uploader.upload(DATA)
    assert (await collector.collect()).swept == 1
    assert await placed(uploader) == [(await uploader.row(DATA)).locator]
    assert await uploader.read(uploaded) == DATA


async def test_r18_of_two_uploads_at_once_one_generation_stays(world: World) -> None:
    """Both place; the first to commit says where the blob is, and the other one's is swept."""
    one, two = await world.two()
    waits = one.stop("before objects.commit")
    async with world.together() as start:
        slow = start(one.upload, DATA)
        await waits.reached()
        quick = await two.upload(DATA)
        # The slow one is alive: its generation is not an orphan yet.
        assert (await two.collect()).swept == 0
        waits.go()
        late = await slow.result()
    assert len(await placed(one)) == 2
    assert (await two.collect()).swept == 1
    row = await one.row(DATA)
    assert (await placed(one), row.ref_count) == ([row.locator], 2)
    for uploaded in (quick, late):
        assert await two.read(uploaded) == DATA


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_a_put_whose_answer_is_lost_is_acknowledged(
    world: World, proxy: FaultyProxy, how: str
) -> None:
    """The bytes are there, the store says so when asked, and the client hears of a success."""
    process, other = await world.two()
    proxy.on("PUT", "lose_answer", match="/blobs/")
    uploaded = await getattr(process, how)(DATA)
    assert await other.read(uploaded) == DATA
    assert len(await placed(process)) == 1


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_a_put_that_fails_leaves_no_object(
    world: World, proxy: FaultyProxy, how: str
) -> None:
    """A client that was refused finds nothing, and neither does the auditor."""
    process, _ = await world.two()
    proxy.on("PUT", "status", match="/blobs/", times=99)
    with pytest.raises(Unavailable):
        await getattr(process, how)(DATA)
    proxy.heal()
    assert await placed(process) == []
    assert await process.row(DATA) is None or (await process.row(DATA)).ref_count == 0


async def test_a_put_that_arrives_after_its_upload_is_given_up_on(
    world: World, proxy: FaultyProxy
) -> None:
    """A generation of a dead upload is an orphan, whenever it comes; the living ones stay."""
    process, collector = await world.two()
    proxy.on("PUT", "late", match="/blobs/", times=99)
    with pytest.raises(Unavailable):
        await process.upload(DATA)
    proxy.heal()
    uploaded = await process.upload(DATA)
    await collector.collect()
    assert set(proxy.deliver()) == {200}
    assert len(await placed(process)) == 2
    assert (await collector.collect()).swept == 1
    assert await placed(process) == [(await process.row(DATA)).locator]
    assert await collector.read(uploaded) == DATA


async def test_a_large_upload_that_fails_is_swept(world: World, proxy: FaultyProxy) -> None:
    """Its parts were neither completed nor aborted, because the store was away for both."""
    process, collector = await world.two()
    proxy.on("POST", "status", match="uploadId=", times=99)
    proxy.on("DELETE", "status", match="uploadId=", times=99)
    with pytest.raises(Unavailable):
        await process.stream(BIG)
    proxy.heal()
    assert (await collector.collect()).swept == 1
    uploaded = await process.stream(BIG)
    assert await collector.read(uploaded) == BIG
