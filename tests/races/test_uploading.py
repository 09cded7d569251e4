"""Uploads against death, against the sweeper, and against each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from juststorage.domain import Conditions, StorageClass
from juststorage.errors import (
    KeyConflict,
    PreconditionFailed,
    UploadExpired,
)
from tests.races.points import Killed
from tests.races.world import TENANT, Process, World, blob_key

DATA = b"the same bytes"

# -- R03, R12, R13: death between any two steps -------------------------------------------------

Act = Callable[[Process, bytes], Awaitable[Any]]


async def _upload(process: Process, data: bytes) -> None:
    await process.upload(data, lease_s=0)


async def _stream(process: Process, data: bytes) -> None:
    await process.stream(data, lease_s=0)


async def _replace(process: Process, data: bytes) -> None:
    await process.upload(data, "key", replace=True, lease_s=0)


async def _claim_key(process: Process, data: bytes) -> None:
    await process.stream(data, f"key of {len(process.world.journal)}", lease_s=0)


async def _delete(process: Process, data: bytes) -> None:
    await process.delete(process.world.prepared)  # type: ignore[attr-defined]


async def _collect(process: Process, data: bytes) -> None:
    await process.collect()


ACTS: dict[str, Act] = {
    "upload": _upload,
    "stream": _stream,
    "replace": _replace,
    "claim a key": _claim_key,
    "delete": _delete,
    "collect": _collect,
}


async def _prepare(world: World, alive: Process, act: str, number: int) -> None:
    """What the act needs to have something to do."""
    if act == "delete":
        world.prepared = await alive.upload(DATA)  # type: ignore[attr-defined]
    if act == "collect":
        await alive.delete(await alive.upload(b"garbage %d" % number))
        await alive.upload(b"garbage of a lost lease %d" % number, lease_s=0)


@pytest.mark.parametrize("act", list(ACTS))
async def test_r03_death_at_every_point(world: World, act: str) -> None:
    """Wherever a process dies, nothing acknowledged is lost and nothing is left to mend by hand."""
    alive, dying = await world.two()
    await alive.upload(DATA)
    number, done = 0, False
    while not done:
        number += 1
        assert number < 60, "the act never ends"
        dying = world.again(dying, f"dying {number}")
        await _prepare(world, alive, act, number)
        owed = dict(world.owed)
        dying.points.kill_at(number)
        try:
            await ACTS[act](dying, b"content %d of %s" % (number, act.encode()))
            done = True
        except Killed:
            if act == "delete":
                # Unacknowledged means either.
                found = await alive.metadata.objects.find(TENANT, world.prepared)  # type: ignore[attr-defined]
                if found is None:
                    world.forget(world.prepared)  # type: ignore[attr-defined]
            if act == "replace":
                holder = await alive.holder("key")
                for each in [each for each in owed if each != holder]:
                    if await alive.metadata.objects.find(TENANT, each) is None:
                        world.forget(each)
        await world.check()
    assert number > 2


async def test_r12_staged_bytes_of_a_dead_upload_are_swept(world: World) -> None:
    """Not while the upload's row is WRITING, and not before the reaper has ended it."""
    alive, dying = await world.two()
    store = alive.runtime.blobs[StorageClass.HOT]

    async def half() -> AsyncIterator[bytes]:
        yield DATA
        dying.points.kill()
        yield DATA

    with pytest.raises(Killed):
        await dying.stream(DATA * 2, body=half(), lease_s=0)
    assert len(await store.staged(older_than_s=0, limit=10)) == 1
    report = await alive.collect()
    assert (report.reaped, report.swept) == (1, 1)
    assert await store.staged(older_than_s=0, limit=10) == []


async def test_r12_staged_bytes_of_a_live_upload_stay(world: World) -> None:
    """A sweeper without any patience spares what belongs to an upload with a lease."""
    alive, uploader = await world.two()
    staged = uploader.stop("after staged.finish")
    async with world.together() as start:
        uploading = start(uploader.stream, DATA)
        await staged.reached()
        assert (await alive.collect()).swept == 0
        staged.go()
        uploaded = await uploading.result()
    assert await alive.read(uploaded) == DATA


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r13_a_placed_file_before_its_commit_stays(world: World, how: str) -> None:
    """A sweeper and a collector that pass between placing and commit leave the file alone."""
    collector, uploader = await world.two()
    placed = uploader.stop("before objects.commit")
    async with world.together() as start:
        uploading = start(getattr(uploader, how), DATA)
        await placed.reached()
        report = await collector.collect()
        assert (report.claimed, report.adopted, report.swept) == (0, 0, 0)
        placed.go()
        uploaded = await uploading.result()
    assert await collector.read(uploaded) == DATA


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r13_a_placed_file_of_a_dead_upload_is_collected(world: World, how: str) -> None:
    """It is garbage like any other once the reaper has released its reference."""
    collector, dying = await world.two()
    placed = dying.stop("before objects.commit")
    async with world.together() as start:
        uploading = start(getattr(dying, how), DATA, lease_s=0)
        await placed.reached()
        dying.points.kill()
        placed.go()
        with pytest.raises(Killed):
            await uploading.result()
    store = collector.runtime.blobs[StorageClass.HOT]
    locator = store.locator_of(blob_key(DATA).content_hash)
    assert locator is not None and await store.stat(locator) == len(DATA)
    report = await collector.collect()
    assert (report.reaped, report.removed) == (1, 1)
    assert await store.stat(locator) is None


async def test_r13_a_file_without_a_row_is_adopted(world: World) -> None:
    """Never unlinked by the sweeper: it gets a row, and the collector, with its locks, decides."""
    process, other = await world.two()
    store = process.runtime.blobs[StorageClass.HOT]
    locator = await store.put(process.intent().new.id, blob_key(DATA).content_hash, DATA)
    adopting = process.stop("before blobs.adopt")
    async with world.together() as start:
        collecting = start(process.collect)
        await adopting.reached()
        uploaded = await other.upload(DATA)  # just before the row would have been made
        adopting.go()
        assert (await collecting.result()).adopted == 0
    assert await store.stat(locator) == len(DATA)
    assert await process.read(uploaded) == DATA


# -- R07, R08, R09: one key ---------------------------------------------------------------------


async def test_r07_the_last_replacement_wins(world: World) -> None:
    """Each PUT takes the key over in its commit; one object and its one reference remain."""
    one, two = await world.two()
    first = one.stop("before objects.commit")
    async with world.together() as start:
        slow = start(one.upload, b"slow", "k", replace=True)
        await first.reached()
        quick = await two.upload(b"quick", "k", replace=True)
        assert await two.holder("k") == quick
        first.go()
        winner = await slow.result()
    assert await two.holder("k") == winner
    assert quick in world.gone
    assert (await two.row(b"quick")) is None or (await two.row(b"quick")).ref_count == 0


async def test_r07_many_replacements_at_once(world: World) -> None:
    """All succeed, one after another, and one of them is what the key holds."""
    one, two = await world.two()
    async with world.together() as start:
        works = [
            start(process.upload, b"content %d" % (number % 3), "k", replace=True)
            for number in range(8)
            for process in (one, two)
        ]
        ids = {await work.result() for work in works}
    holder = await one.holder("k")
    assert holder in ids
    assert set(world.owed) == {holder}


async def test_r07_of_many_posts_one_wins(world: World) -> None:
    """A key is claimed before the first byte; the others learn who holds it."""
    one, two = await world.two()
    claimed = one.stop("after objects.begin")
    async with world.together() as start:
        posting = start(one.stream, DATA, "k")
        await claimed.reached()
        with pytest.raises(KeyConflict):
            await two.stream(b"other", "k")
        with pytest.raises(KeyConflict):
            await two.upload(b"other", "k")
        claimed.go()
        winner = await posting.result()
    assert await two.holder("k") == winner


async def test_r07_a_replacement_drops_the_claim_of_an_upload(world: World) -> None:
    """A POST whose key was taken by a PUT ends with an error, not with two holders."""
    one, two = await world.two()
    claimed = one.stop("before objects.commit")
    async with world.together() as start:
        posting = start(one.upload, DATA, "k")
        await claimed.reached()
        winner = await two.upload(b"other", "k", replace=True)
        claimed.go()
        with pytest.raises(UploadExpired):
            await posting.result()
    assert await two.holder("k") == winner


async def test_r07_conditions_count_in_the_commit(world: World) -> None:
    """If-Match held when the body began, and does not when it is committed: it does not hold."""
    one, two = await world.two()
    await one.upload(b"first", "k", replace=True)
    seen = Conditions(if_match=frozenset({blob_key(b"first").content_hash}))
    waiting = one.stop("before objects.commit")
    async with world.together() as start:
        slow = start(one.upload, b"slow", "k", replace=True, conditions=seen)
        await waiting.reached()
        quick = await two.upload(b"quick", "k", replace=True, conditions=seen)
        waiting.go()
        with pytest.raises(PreconditionFailed):
            await slow.result()
    assert await one.holder("k") == quick


async def test_r08_two_blobs_in_one_statement(world: World) -> None:
    """Replacements that exchange two contents lock them in one order, and never fail of it."""
    one, two = await world.two()
    pair = (b"alpha", b"omega")
    await one.upload(pair[0], "first", replace=True)
    await one.upload(pair[1], "second", replace=True)
    for turn in range(8):
        new = (pair[(turn + 1) % 2], pair[turn % 2])
        stops = [
            one.stop("before objects.begin_reserved"),
            two.stop("before objects.begin_reserved"),
        ]
        async with world.together() as start:
            works = [
                start(one.upload, new[0], "first", replace=True),
                start(two.upload, new[1], "second", replace=True),
            ]
            for stop in stops:
                await stop.reached()
            for stop in stops:
                stop.go()
            for work in works:
                await work.result()
    assert len(world.owed) == 2


async def test_r08_deletes_of_many_in_both_orders(world: World) -> None:
    """Deletes of the same blobs from both ends share them out, without deadlock."""
    one, two = await world.two()
    for turn in range(4):
        contents = [b"%d of turn %d" % (number, turn) for number in range(6)]
        ids = [await one.upload(each) for each in contents]
        twins = [await one.upload(each) for each in contents]
        async with world.together() as start:
            works = [
                start(one.metadata.objects.delete_many, TENANT, [*ids, *twins]),
                start(two.metadata.objects.delete_many, TENANT, [*twins[::-1], *ids[::-1]]),
            ]
            deleted = [await work.result() for work in works]
        assert deleted[0] | deleted[1] == {*ids, *twins}
        assert not deleted[0] & deleted[1]
        for each in (*ids, *twins):
            world.forget(each)


async def test_r09_a_retried_replacement_makes_one_object(world: World) -> None:
    """A client that got no answer sends its PUT again: one object, one reference."""
    one, two = await world.two()
    lost = one.stop("after objects.commit")
    lost.fail(Killed())
    with pytest.raises(Killed):
        await one.upload(DATA, "k", replace=True)
    uploaded = await two.upload(DATA, "k", replace=True)
    assert await two.holder("k") == uploaded
    assert (await two.row(DATA)).ref_count == 1


async def test_r09_a_retried_post_is_told_what_became_of_the_first(world: World) -> None:
    """The conflict names the holder and its hash, by which the client knows its own object."""
    one, two = await world.two()
    lost = one.stop("after objects.commit")
    lost.fail(Killed())
    with pytest.raises(Killed):
        await one.upload(DATA, "k")
    with pytest.raises(KeyConflict) as refused:
        await two.upload(DATA, "k")
    assert refused.value.fields["object_id"] == await two.holder("k")
    assert refused.value.fields["content_hash"] == blob_key(DATA).content_hash
    with pytest.raises(PreconditionFailed):
        await two.upload(DATA, "k", replace=True, conditions=Conditions(if_none_match=frozenset()))
