"""Collectors against uploads, against drift, against each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import anyio
import pytest

from juststorage.domain import Blob, BlobKey
from juststorage.errors import Unavailable
from juststorage.ports import Removal
from tests.races.points import Killed
from tests.races.world import Process, World, blob_key

DATA = b"the same bytes"
KEY = blob_key(DATA)


async def make_garbage(process: Process, data: bytes = DATA) -> None:
    """The bytes, stored and deleted."""
    await process.delete(await process.upload(data))


async def test_r01_an_upload_between_claim_and_removal_keeps_its_blob(world: World) -> None:
    """What an upload counted on after the claim is not removed, and was placed once more."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    claimed = collector.stop("after blobs.claim")
    async with world.together() as start:
        collecting = start(collector.collect)
        await claimed.reached()
        uploaded = await uploader.upload(DATA)
        claimed.go()
        report = await collecting.result()
    assert (report.claimed, report.removed) == (1, 0)
    # The claim withdrew stored_at, so the upload did not trust the file that it found.
    assert uploader.points.passed.count("after put") == 2
    assert "before remove" not in collector.points.passed
    assert await collector.read(uploaded) == DATA


async def test_r01_an_upload_before_the_claim_keeps_its_blob(world: World) -> None:
    """A reservation is enough: a blob with one is no garbage, placed or not, committed or not."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    reserved = uploader.stop("after objects.begin_reserved")
    async with world.together() as start:
        uploading = start(uploader.upload, DATA)
        await reserved.reached()
        assert (await collector.collect()).claimed == 0
        reserved.go()
        uploaded = await uploading.result()
    assert await collector.read(uploaded) == DATA


async def test_r01_an_upload_that_has_not_reserved_yet(world: World) -> None:
    """Until it has reserved it has placed nothing, so what is collected by then is not its own."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    reserves = uploader.stop("before objects.reserve")
    async with world.together() as start:
        uploading = start(uploader.stream, DATA)
        await reserves.reached()
        assert "before place" not in uploader.points.passed
        assert (await collector.collect()).removed == 1
        reserves.go()
        uploaded = await uploading.result()
    assert await collector.read(uploaded) == DATA


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r02_an_upload_waits_while_files_move(world: World, how: str) -> None:
    """Files move under the row lock: an upload waits for the end, then makes row and file anew."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    step = "begin_reserved" if how == "upload" else "reserve"
    comes = uploader.stop(f"before objects.{step}")
    moving = collector.stop("before remove")
    async with world.together() as start:
        uploading = start(getattr(uploader, how), DATA)
        await comes.reached()
        collecting = start(collector.collect)
        await moving.reached()
        assert await world.tools.is_locked(collector, KEY)
        comes.go()
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert not uploading.done.is_set()
        moving.go()
        assert (await collecting.result()).removed == 1
        uploaded = await uploading.result()
    assert world.order("two after remove", f"one after objects.{step}")
    assert await collector.read(uploaded) == DATA


async def test_r04_a_count_that_drifted_to_zero_removes_nothing(world: World) -> None:
    """The collector looks for objects that hold the blob, and does not believe the count."""
    uploader, collector = await world.two()
    uploaded = await uploader.upload(DATA)
    await world.tools.set_count(uploader, KEY, 0)
    report = await collector.collect()
    assert (report.claimed, report.removed) == (1, 0)
    assert "before remove" not in collector.points.passed
    assert await collector.read(uploaded) == DATA
    # Nothing was wrong with the bytes, so they are trusted as before: only the count is to mend.
    found = await collector.audit(repair=True)
    assert len(found) == 1 and found[0].startswith("I3"), found


async def test_r04_the_database_itself_refuses(world: World) -> None:
    """No statement, however careless, drops the row of a blob that an object holds."""
    (process,) = [await world.process("one")]
    uploaded = await process.upload(DATA)
    drop = "DELETE FROM blobs"
    if world.kind == "memory":
        # It has no statements: what stands for the key is that every way to drop a row looks.
        removal = await process.runtime.metadata.blobs.remove([KEY], _move_all)
        assert (removal.removed, removal.taken_back) == ([], [KEY])
    elif world.kind == "sqlite":
        with pytest.raises(Exception, match="FOREIGN KEY"):
            world.tools.sql(drop, foreign_keys=True)
    else:
        with pytest.raises(Exception, match="foreign key"):
            world.tools.sql(drop)
    assert await process.read(uploaded) == DATA


async def _move_all(blobs: Sequence[Blob]) -> Collection[BlobKey]:
    return [blob.key for blob in blobs]


async def test_r05_two_collectors_share_the_garbage(world: World) -> None:
    """What one has claimed the other leaves alone."""
    one, two = await world.two()
    await make_garbage(one)
    claimed = one.stop("after blobs.claim")
    async with world.together() as start:
        collecting = start(one.collect, claim_s=3600)
        await claimed.reached()
        assert (await two.collect(claim_s=3600)).claimed == 0
        claimed.go()
        assert (await collecting.result()).removed == 1


async def test_r05_two_collectors_with_the_same_claim(world: World) -> None:
    """A claim that ran out is claimed again; one of the two removes, and neither fails."""
    one, two = await world.two()
    await make_garbage(one)
    claimed = one.stop("after blobs.claim")
    async with world.together() as start:
        collecting = start(one.collect)
        await claimed.reached()
        second = await two.collect()
        claimed.go()
        first = await collecting.result()
    assert (first.removed, second.removed) == (0, 1)
    assert (first.errors, second.errors) == (0, 0)


async def test_r05_a_file_that_another_has_moved(world: World) -> None:
    """An absent file counts as removed."""
    one, two = await world.two()
    await make_garbage(one)
    moving = one.stop("before remove")
    async with world.together() as start:
        collecting = start(one.collect)
        await moving.reached()
        store = two.runtime.blobs[KEY.storage_class]
        locator = store.locator_of(KEY.content_hash)
        assert locator is not None and await store.stat(locator) == len(DATA)
        assert await store.remove([locator]) == {}
        moving.go()
        report = await collecting.result()
    assert (report.removed, report.errors) == (1, 0)


class _Frozen:
    """`remove` of a collector that is frozen inside it for so long that its transaction dies.

    The transaction locks and looks as ever, then ends without effect, as when a server ends it. The
    process knows nothing of that: `wake` lets it move the files that it had locked; its COMMIT then
    finds no connection.
    """

    def __init__(self, process: Process) -> None:
        self._remove = process.runtime.metadata.blobs.remove
        self._wakes = anyio.Event()
        self.asleep = anyio.Event()
        self.moved = anyio.Event()
        self.goes_on = anyio.Event()
        process.metadata.blobs.remove = self.remove

    def wake(self) -> None:
        """Let it move the files."""
        self._wakes.set()

    async def remove(
        self,
        claimed: Sequence[BlobKey],
        move: Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]],
    ) -> Removal:
        """In place of the repository's."""
        locked: list[Blob] = []

        async def freeze(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            locked.extend(blobs)
            return []

        await self._remove(claimed, freeze)
        assert locked
        self.asleep.set()
        await self._wakes.wait()
        await move(locked)
        self.moved.set()
        await self.goes_on.wait()
        raise Unavailable("the connection was cut")


@pytest.mark.parametrize("then", ["puts it back", "dies"])
async def test_r19_a_frozen_collector_moves_what_was_uploaded_since(
    world: World, then: str
) -> None:
    """Trash is not gone: a reader, and the collector itself if it lives, bring the file back."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    frozen = _Frozen(collector)
    async with world.together() as start:
        collecting = start(collector.collect, claim_s=3600, trash_retention_s=3600)
        await frozen.asleep.wait()
        uploaded = await uploader.upload(DATA)
        frozen.wake()
        await frozen.moved.wait()
        locator = (await uploader.row(DATA)).locator
        assert await uploader.runtime.blobs[KEY.storage_class].stat(locator) is None
        if then == "dies":
            collector.points.kill()
            assert await uploader.read(uploaded) == DATA  # found in the trash
        frozen.goes_on.set()
        if then == "dies":
            with pytest.raises(Killed):
                await collecting.result()
        else:
            assert (await collecting.result()).errors == 1
    assert await uploader.runtime.blobs[KEY.storage_class].stat(locator) == len(DATA)
    assert await uploader.read(uploaded) == DATA


async def test_r19_a_transaction_that_the_server_ended(world: World) -> None:
    """The same with a transaction that really dies: its locks are gone, and its COMMIT fails."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    moving = collector.stop("before remove")
    async with world.together() as start:
        collecting = start(collector.collect, claim_s=3600, trash_retention_s=3600)
        await moving.reached()
        world.tools.end_idle_transactions()
        uploaded = await uploader.upload(DATA)
        moving.go()
        report = await collecting.result()
    assert (report.removed, report.errors) == (0, 1)
    assert world.order("one after put", "two after remove", "two before restore")
    assert await uploader.read(uploaded) == DATA


async def test_r19_the_purge_puts_back_what_a_frozen_collector_moved(world: World) -> None:
    """Before trash goes for good someone looks whether a row names it, retention or not."""
    uploader, collector = await world.two()
    purger = await world.process("three")
    await make_garbage(uploader)
    frozen = _Frozen(collector)
    async with world.together() as start:
        collecting = start(collector.collect, claim_s=3600)
        await frozen.asleep.wait()
        uploaded = await uploader.upload(DATA)
        frozen.wake()
        await frozen.moved.wait()
        collector.points.kill()
        report = await purger.collect(trash_retention_s=0)
        assert (report.restored, report.purged) == (1, 0)
        frozen.goes_on.set()
        with pytest.raises(Killed):
            await collecting.result()
    assert await uploader.read(uploaded) == DATA


async def test_r19_the_purge_spares_what_an_upload_is_about_to_commit(world: World) -> None:
    """A file moved between its placing and its commit is trash that a row will name."""
    uploader, collector = await world.two()
    purger = await world.process("three")
    await make_garbage(uploader)
    frozen = _Frozen(collector)
    placed = uploader.stop("before objects.commit")
    async with world.together() as start:
        collecting = start(collector.collect, claim_s=3600)
        await frozen.asleep.wait()
        uploading = start(uploader.upload, DATA)
        await placed.reached()
        frozen.wake()
        await frozen.moved.wait()
        collector.points.kill()
        assert (await purger.collect(trash_retention_s=0)).purged == 0
        placed.go()
        uploaded = await uploading.result()
        frozen.goes_on.set()
        with pytest.raises(Killed):
            await collecting.result()
    assert await uploader.read(uploaded) == DATA


@pytest.mark.parametrize("step", ["claim", "remove"])
async def test_r19_a_collector_frozen_between_two_transactions(world: World, step: str) -> None:
    """Whatever became of the garbage meanwhile, it looks again before it touches anything."""
    uploader, collector = await world.two()
    await make_garbage(uploader)
    point: Any = collector.stop("after blobs.claim" if step == "claim" else "before blobs.remove")
    async with world.together() as start:
        collecting = start(collector.collect)
        await point.reached()
        # Uploaded, deleted, collected by another, and uploaded once more.
        await make_garbage(uploader)
        await uploader.collect()
        uploaded = await uploader.upload(DATA)
        point.go()
        report = await collecting.result()
    assert (report.removed, report.errors) == (0, 0)
    assert await uploader.read(uploaded) == DATA
