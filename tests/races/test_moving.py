"""Moves between hot and cold, and copies, against deletes, collectors, each other and death."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import UNCHANGED, Conditions, ObjectId, StorageClass
from juststorage.errors import BlobMissing, NotFound, PreconditionFailed, Unavailable
from juststorage.testing import make_content
from juststorage.usecases import ChangeObject, CopyObject, CopyTarget
from tests.races.points import Killed
from tests.races.world import LEASE_S, TENANT, Process, World

DATA = b"bytes that move"
HOT, COLD = StorageClass.HOT, StorageClass.COLD


async def move(
    process: Process,
    object_id: ObjectId,
    storage_class: StorageClass = COLD,
    *,
    lease_s: float = LEASE_S,
    **options: Any,
) -> Any:
    """PATCH with a storage class."""
    change = ChangeObject(process.metadata, process.copier(lease_s))
    return await change.by_id(TENANT, object_id, UNCHANGED, storage_class=storage_class, **options)


async def copy(
    process: Process, object_id: ObjectId, *, lease_s: float = LEASE_S, **target: Any
) -> ObjectId:
    """POST .../copy; acknowledged once this returns."""
    cases = CopyObject(process.metadata, process.copier(lease_s))
    committed = await cases.by_id(TENANT, object_id, CopyTarget(**target))
    return process.world.acknowledge(committed, process.world.owed[object_id])


async def class_of(process: Process, object_id: ObjectId) -> StorageClass:
    """Where the object is."""
    found = await process.runtime.metadata.objects.find(TENANT, object_id)
    assert found is not None
    return found.storage_class


async def test_a_move_leaves_the_old_copy_to_the_collector(world: World) -> None:
    """Moved there and back, the object reads the same, and one copy of its bytes remains."""
    process, _ = await world.two()
    object_id = await process.upload(DATA)
    for storage_class, other in ((COLD, HOT), (HOT, COLD)):
        moved = await move(process, object_id, storage_class)
        assert moved.storage_class is storage_class
        assert await process.read(object_id) == DATA
        report = await process.collect()
        assert report.removed == 1
        assert await process.row(DATA, other) is None
        assert await process.read(object_id) == DATA


@pytest.mark.parametrize("act", ["move", "copy"])
async def test_r03_death_at_every_point_of_a_move(world: World, act: str) -> None:
    """Wherever it dies, the object is whole in one class, and the rest is found and collected."""
    alive, dying = await world.two()
    number, done = 0, False
    while not done:
        number += 1
        assert number < 60, "the act never ends"
        dying = world.again(dying, f"dying {number}")
        data = b"%s %d" % (DATA, number)
        object_id = await alive.upload(data)
        dying.points.kill_at(number)
        try:
            if act == "move":
                await move(dying, object_id, lease_s=0)
            else:
                await copy(dying, object_id, storage_class=COLD, lease_s=0)
            done = True
        except Killed:
            assert await alive.read(object_id) == data
        await world.check()
        assert await alive.read(object_id) == data
    assert number > 8


@pytest.mark.parametrize(
    "where",
    ["before objects.begin", "before objects.reserve", "before stage", "before place"],
)
async def test_a_step_that_fails_leaves_the_object_as_it_was(world: World, where: str) -> None:
    """The error is answered, the upload is ended at once, and nothing is staged."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    before = await other.metadata.objects.find(TENANT, object_id)
    stop = process.stop(where)
    stop.fail(Unavailable("told to fail"))
    with pytest.raises(Unavailable):
        await move(process, object_id)
    assert await other.metadata.objects.find(TENANT, object_id) == before
    assert await process.metadata.objects.expired(older_than_s=-LEASE_S * 2, limit=10) == []
    assert await process.runtime.blobs[COLD].staged(older_than_s=0, limit=10) == []


async def test_a_move_whose_answer_is_lost(world: World) -> None:
    """Outcome unknown: it is looked up, and told as what it was (R17)."""
    process, _ = await world.two()
    object_id = await process.upload(DATA)
    process.stop("after objects.commit_move").fail(Unavailable("cut off"))
    assert (await move(process, object_id)).storage_class is COLD
    other = await process.upload(DATA + b"2")
    process.stop("before objects.commit_move").fail(Unavailable("cut off"))
    with pytest.raises(Unavailable):
        await move(process, other)
    assert await class_of(process, other) is HOT


async def test_a_delete_during_a_move(world: World) -> None:
    """The move finds nothing to move any more, and leaves nothing in the other class."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = process.stop("before objects.commit_move")
        moving = start(move, process, object_id)
        await stop.reached()
        await other.delete(object_id)
        await other.collect()
        stop.go()
        with pytest.raises(NotFound):
            await moving.result()
    await other.collect()
    assert await other.row(DATA, HOT) is None
    assert await other.row(DATA, COLD) is None


async def test_two_moves_at_once(world: World) -> None:
    """Both succeed, in either order of their steps, and one copy is left."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = process.stop("before objects.commit_move")
        first = start(move, process, object_id)
        await stop.reached()
        assert (await move(other, object_id)).storage_class is COLD
        stop.go()
        assert (await first.result()).storage_class is COLD
    await process.collect()
    assert await process.read(object_id) == DATA
    assert (await process.row(DATA, COLD)).ref_count == 1
    assert await process.row(DATA, HOT) is None


async def test_a_move_there_against_a_move_back(world: World) -> None:
    """The last to commit decides, and no reference is lost or left over."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = process.stop("before objects.commit_move")
        first = start(move, process, object_id)
        await stop.reached()
        await move(other, object_id, COLD)
        await move(other, object_id, HOT)
        stop.go()
        await first.result()
    assert await class_of(process, object_id) is COLD
    await process.collect()
    assert await process.read(object_id) == DATA


async def test_a_collector_during_a_move(world: World) -> None:
    """A copy that is reserved and not yet taken is not garbage; nor is the old one before it."""
    process, collector = await world.two()
    object_id = await process.upload(DATA)
    for where in ("before stage", "after place", "before objects.commit_move"):
        async with world.together() as start:
            stop = process.stop(where)
            moving = start(move, process, object_id)
            await stop.reached()
            await collector.collect()
            assert await collector.read(object_id) == DATA
            stop.go()
            assert (await moving.result()).storage_class is COLD
        assert await collector.read(object_id) == DATA
        await move(process, object_id, HOT)
        await collector.collect()


async def test_a_reader_during_a_move(world: World) -> None:
    """Who has looked the object up before the move finds its bytes where they are now."""
    process, reader = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = reader.stop("before open")
        reading = start(reader.read, object_id)
        await stop.reached()
        await move(process, object_id)
        await process.collect()
        stop.go()
        assert await reading.result() == DATA


async def test_a_replacement_during_a_move(world: World) -> None:
    """The old object is gone, and the move with it; the new one stays where it was put."""
    process, other = await world.two()
    object_id = await process.upload(DATA, "key")
    async with world.together() as start:
        stop = process.stop("before objects.commit_move")
        moving = start(move, process, object_id)
        await stop.reached()
        newer = await other.upload(DATA, "key", replace=True)
        stop.go()
        with pytest.raises(NotFound):
            await moving.result()
    world.forget(object_id)
    assert await class_of(other, newer) is HOT


async def test_a_move_with_a_condition(world: World) -> None:
    """Judged before a byte is copied."""
    process, _ = await world.two()
    object_id = await process.upload(DATA)
    wrong = Conditions(if_match=frozenset({make_content(b"other").content_hash}))
    passed = len(process.points.passed)
    with pytest.raises(PreconditionFailed):
        await move(process, object_id, conditions=wrong)
    assert "before objects.begin" not in process.points.passed[passed:]


async def test_a_move_onto_bytes_that_are_there(world: World) -> None:
    """No byte is copied where the other class has them."""
    process, _ = await world.two()
    await process.upload(DATA, storage_class=COLD)
    object_id = await process.upload(DATA)
    passed = len(process.points.passed)
    await move(process, object_id)
    assert "before stage" not in process.points.passed[passed:]
    assert (await process.row(DATA, COLD)).ref_count == 2


async def test_a_copy_moves_no_byte(world: World) -> None:
    """Within a class it is one look-up and one transaction."""
    process, _ = await world.two()
    object_id = await process.upload(DATA)
    passed = len(process.points.passed)
    await copy(process, object_id)
    assert process.points.passed[passed:] == [
        f"{when} objects.{step}"
        for step in ("find", "begin_reserved")
        for when in ("before", "after")
    ]
    assert (await process.row(DATA)).ref_count == 2


async def test_a_copy_whose_source_is_collected_meanwhile(world: World) -> None:
    """Its bytes are gone with it: no copy, and nothing that refers to what is not there."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = process.stop("before objects.begin_reserved")
        copying = start(copy, process, object_id)
        await stop.reached()
        await other.delete(object_id)
        await other.collect()
        stop.go()
        with pytest.raises((NotFound, BlobMissing)):
            await copying.result()
    await other.collect()
    assert await other.row(DATA) is None


async def test_a_copy_whose_source_is_claimed_meanwhile(world: World) -> None:
    """A claimed blob is reserved again, its bytes placed again, and the collector steps back."""
    process, other = await world.two()
    object_id = await process.upload(DATA)
    async with world.together() as start:
        stop = process.stop("before objects.begin_reserved")
        copying = start(copy, process, object_id)
        await stop.reached()
        await other.delete(object_id)
        claimed = other.stop("after blobs.claim")
        collecting = start(other.collect)
        await claimed.reached()
        world.owed[object_id] = DATA
        stop.go()
        copied = await copying.result()
        world.forget(object_id)
        claimed.go()
        assert (await collecting.result()).removed == 0
    assert await other.read(copied) == DATA
