"""Readers against deletes, collectors and moves between classes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from juststorage.domain import StorageClass
from juststorage.errors import NotFound
from juststorage.ports import Content
from juststorage.usecases import DownloadObject, FindObject
from tests.races.world import TENANT, Process, World, blob_key

DATA = b"the same bytes" * 10_000

Between = Callable[[Process], Awaitable[Any]]


async def _to_trash(process: Process) -> None:
    await process.collect(trash_retention_s=3600)


async def _for_good(process: Process) -> None:
    await process.collect()


@pytest.mark.parametrize("collect", [_to_trash, _for_good], ids=["to trash", "for good"])
async def test_r06_a_reader_keeps_what_it_opened(world: World, collect: Between) -> None:
    """A download that has begun gets every byte, whatever becomes of the object meanwhile."""
    reader, deleter = await world.two()
    uploaded = await reader.upload(DATA)
    stored = await FindObject(reader.metadata).by_id(TENANT, uploaded)
    download = DownloadObject(reader.metadata, reader.blobs, reader.runtime.hashers)
    async with await download.open(stored) as opened:
        parts = opened.chunks(0, opened.size_bytes)
        body = [await anext(parts)]
        await deleter.delete(uploaded)
        await collect(deleter)
        assert (await deleter.row(DATA)) is None
        body += [part async for part in parts]
    assert b"".join(body) == DATA
    with pytest.raises(NotFound):
        await reader.read(uploaded)


async def test_r06_a_delete_between_row_and_file_is_a_404(world: World) -> None:
    """Found, but gone before it was opened: not there, rather than broken."""
    reader, deleter = await world.two()
    uploaded = await reader.upload(DATA)
    opening = reader.stop("before open")
    async with world.together() as start:
        reading = start(reader.read, uploaded)
        await opening.reached()
        await deleter.delete(uploaded)
        await deleter.collect()
        opening.go()
        with pytest.raises(NotFound):
            await reading.result()


async def test_r06_a_twin_between_row_and_file_is_read(world: World) -> None:
    """Collected and uploaded anew while a reader is on its way: the reader's object is gone."""
    reader, writer = await world.two()
    uploaded = await reader.upload(DATA)
    opening = reader.stop("before open")
    async with world.together() as start:
        reading = start(reader.read, uploaded)
        await opening.reached()
        await writer.delete(uploaded)
        await writer.collect()
        await writer.upload(DATA)
        opening.go()
        assert await reading.result() == DATA  # the same bytes: what it found is what it gets


async def move(process: Process, object_id: Any, to: StorageClass) -> None:
    """Change an object's storage class, as the protocol has it."""
    intent = process.intent(storage_class=to)
    content = Content(blob_key(DATA).content_hash, len(DATA))
    objects = process.metadata.objects
    reservation = await objects.reserve(await objects.begin(intent, lease_s=60), content)
    locator = reservation.locator
    if locator is None:
        locator = await process.blobs[to].put(intent.new.id, content.content_hash, DATA)
    try:
        await objects.commit_move(reservation.lease, locator, object_id=object_id)
    except NotFound:
        await objects.abort(reservation.lease)
        raise


@pytest.mark.parametrize("gone", [StorageClass.HOT, StorageClass.COLD])
async def test_r10_hot_and_cold_of_one_hash(world: World, gone: StorageClass) -> None:
    """Each class counts for itself, and its collector removes its own file only."""
    one, two = await world.two()
    kept = StorageClass.COLD if gone is StorageClass.HOT else StorageClass.HOT
    going = await one.upload(DATA, storage_class=gone)
    staying = await two.upload(DATA, storage_class=kept)
    await one.delete(going)
    assert (await two.collect()).removed == 1
    assert await one.row(DATA, gone) is None
    assert (await one.row(DATA, kept)).ref_count == 1
    assert await one.read(staying) == DATA


async def test_r10_a_reader_meets_a_move_between_classes(world: World) -> None:
    """Moved and collected between row and file: the reader looks again and reads the copy."""
    reader, mover = await world.two()
    uploaded = await reader.upload(DATA)
    opening = reader.stop("before open")
    async with world.together() as start:
        reading = start(reader.read, uploaded)
        await opening.reached()
        await move(mover, uploaded, StorageClass.COLD)
        assert (await mover.collect()).removed == 1
        opening.go()
        assert await reading.result() == DATA
    assert await mover.row(DATA) is None


async def test_r10_a_delete_meets_a_move_between_classes(world: World) -> None:
    """The move is refused, and neither copy stays."""
    mover, deleter = await world.two()
    uploaded = await mover.upload(DATA)
    placed = mover.stop("before objects.commit_move")
    async with world.together() as start:
        moving = start(move, mover, uploaded, StorageClass.COLD)
        await placed.reached()
        await deleter.delete(uploaded)
        placed.go()
        with pytest.raises(NotFound):
            await moving.result()
