"""R22: the database is restored to an earlier time, the files are not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from juststorage.errors import Unavailable
from tests.races.world import World

DATA = b"what the backup knows"
LATER = b"what it does not know"


async def test_r22_what_the_backup_names_comes_back_from_the_trash(world: World) -> None:
    """Deleted and collected since: the row is back, and the trash still has the bytes."""
    process = await world.process("one")
    kept = await process.upload(b"untouched")
    deleted = await process.upload(DATA, "k")
    await world.stop()
    async with world.tools.backup(world):
        process = await world.process("two")
        await process.delete(deleted)
        assert (await process.collect(trash_retention_s=3600)).removed == 1
        replaced = await process.upload(LATER, "k")
        await world.stop()
    # An acknowledgement after the backup is lost with the database; nothing else is.
    del world.owed[replaced]
    world.gone.discard(deleted)
    world.owed[deleted] = DATA
    process = await world.process("three")
    assert await process.holder("k") == deleted
    assert await process.read(deleted) == DATA
    assert await process.read(kept) == b"untouched"


async def test_r22_the_purge_brings_back_what_nobody_has_read_yet(world: World) -> None:
    """A collection after the restore looks before it purges."""
    process = await world.process("one")
    deleted = await process.upload(DATA)
    await world.stop()
    async with world.tools.backup(world):
        process = await world.process("two")
        await process.delete(deleted)
        await process.collect(trash_retention_s=3600)
        await world.stop()
    world.gone.discard(deleted)
    world.owed[deleted] = DATA
    process = await world.process("three")
    report = await process.collect(trash_retention_s=0)
    assert (report.restored, report.purged) == (1, 0)
    assert await process.read(deleted) == DATA


async def test_r22_a_file_that_the_backup_does_not_know(world: World) -> None:
    """It is adopted as garbage, not unlinked; an upload of the same bytes counts on it no more."""
    process = await world.process("one")
    await world.stop()
    async with world.tools.backup(world):
        process = await world.process("two")
        lost = await process.upload(LATER)
        await world.stop()
    del world.owed[lost]
    process = await world.process("three")
    report = await process.collect(grace_s=3600)
    assert (report.adopted, report.removed, report.swept) == (1, 0, 0)
    again = await process.upload(LATER)
    assert "after put" in process.points.passed  # adopted is not durable: it places its own copy
    assert await process.read(again) == LATER


async def _body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_r22_a_reservation_of_an_upload_in_turns(world: World) -> None:
    """Forgotten, as after a crash of the database, with the bytes placed and collected since.

    What the client was told to be kept is there, and becomes the object.
    """
    process = await world.process("one")
    resume = process.resuming()
    ticket = resume.ticket(await resume.begin(process.intent("k", replace=True), len(DATA)))
    assert (await resume.append(ticket, 0, _body(DATA[:5]))).offset == 5
    await world.stop()
    async with world.tools.backup(world):
        process = await world.process("two")
        process.stop("before objects.commit").fail(Unavailable("the database is away"))
        with pytest.raises(Unavailable):
            await process.resuming().append(ticket, 5, _body(DATA[5:]))
        assert "after place" in process.points.passed
        await world.stop()
    process = await world.process("three")
    resume = process.resuming()
    for _ in range(2):
        await process.collect()
    assert await process.row(DATA) is None
    assert (await resume.progress(ticket)).offset == len(DATA)
    done = await resume.append(ticket, len(DATA), _body())
    assert done.committed is not None
    world.acknowledge(done.committed, DATA)
