"""R18: deletes that an object store carries out when nobody waits for them any more."""

from __future__ import annotations

import pytest

from juststorage.domain import StorageClass
from juststorage.testing import BlobStoreContract
from tests.races.generations import GENERATIONS, Bucket, GenerationsPlugin
from tests.races.world import World

DATA = b"the same bytes"


class TestGenerations(BlobStoreContract):
    """The double is a blob store, by the contract of blob stores."""

    backend = GENERATIONS


@pytest.fixture
def bucket() -> Bucket:
    """The bucket of the class hot."""
    return Bucket()


@pytest.fixture
def plugins(bucket: Bucket) -> list[object]:
    """An object store that all processes share."""
    return [GenerationsPlugin({"hot": bucket, "cold": Bucket()})]


@pytest.fixture
def blob_backend() -> str:
    """Instead of files."""
    return "generations"


async def test_r18_a_late_delete_hits_a_dead_generation(world: World, bucket: Bucket) -> None:
    """The delete timed out, the bytes were uploaded anew, and then the delete happens."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    bucket.loses_answers = True
    report = await collector.collect()
    assert (report.removed, report.errors) == (0, 1)
    bucket.loses_answers = False
    uploaded = await uploader.upload(DATA)
    assert len(bucket.placed) == 2  # a generation of its own, though the old one was still there
    bucket.deliver()
    assert len(bucket.placed) == 1
    assert await uploader.read(uploaded) == DATA


async def test_r18_a_delete_that_never_happens_leaves_an_orphan(
    world: World, bucket: Bucket
) -> None:
    """The generation that nobody names is swept; the one that a row names is not."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    bucket.loses_answers = True
    await collector.collect()
    bucket.loses_answers = False
    bucket.under_way.clear()
    uploaded = await uploader.upload(DATA)
    assert (await collector.collect()).swept == 1
    assert list(bucket.placed) == [(await uploader.row(DATA)).locator]
    assert await uploader.read(uploaded) == DATA


async def test_r18_a_collector_that_is_frozen_over_its_delete(world: World, bucket: Bucket) -> None:
    """Its claim withdrew stored_at, so a later upload did not count on what it is about to hit."""
    uploader, collector = await world.two()
    await uploader.delete(await uploader.upload(DATA))
    claimed = collector.stop("before blobs.remove")
    async with world.together() as start:
        collecting = start(collector.collect)
        await claimed.reached()
        [dead] = bucket.placed
        uploaded = await uploader.upload(DATA)
        bucket.under_way.append(dead)
        bucket.deliver()
        claimed.go()
        assert (await collecting.result()).removed == 0
    assert await uploader.read(uploaded) == DATA


async def test_r18_of_two_uploads_at_once_one_generation_stays(
    world: World, bucket: Bucket
) -> None:
    """Both place; the first to commit says where the blob is, and the other one's is swept."""
    one, two = await world.two()
    placed = one.stop("before objects.commit")
    async with world.together() as start:
        slow = start(one.upload, DATA)
        await placed.reached()
        quick = await two.upload(DATA)
        # The slow one is alive: its generation is not an orphan yet.
        assert (await two.collect()).swept == 0
        placed.go()
        late = await slow.result()
    assert len(bucket.placed) == 2
    assert (await two.collect()).swept == 1
    row = await one.row(DATA)
    assert (list(bucket.placed), row.ref_count) == ([row.locator], 2)
    for uploaded in (quick, late):
        assert await two.read(uploaded) == DATA
    assert row.key.storage_class is StorageClass.HOT
