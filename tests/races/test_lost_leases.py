"""Uploads whose lease, or whose answer, was lost: R11 and R17."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from juststorage.errors import (
    Unavailable,
    UploadExpired,
)
from juststorage.ports import Content
from tests.races.world import TENANT, World, blob_key

DATA = b"the same bytes"


# -- R11: the reaper ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r11_a_late_commit_resurrects_nothing(world: World, how: str) -> None:
    """An upload that was reaped meanwhile is refused, whatever it placed, and leaves nothing."""
    reaper, uploader = await world.two()
    placed = uploader.stop("before objects.commit")
    async with world.together() as start:
        uploading = start(getattr(uploader, how), DATA, "k", lease_s=0)
        await placed.reached()
        assert (await reaper.collect(tombstone_retention_s=3600)).reaped == 1
        placed.go()
        with pytest.raises(UploadExpired):
            await uploading.result()
    assert await reaper.holder("k") is None
    assert world.owed == {}


async def test_r11_a_late_reservation_is_refused(world: World) -> None:
    """Nor does a reaped upload count on a blob."""
    reaper, uploader = await world.two()
    staged = uploader.stop("before objects.reserve")
    async with world.together() as start:
        uploading = start(uploader.stream, DATA, lease_s=0)
        await staged.reached()
        assert (await reaper.collect(tombstone_retention_s=3600)).reaped == 1
        staged.go()
        with pytest.raises(UploadExpired):
            await uploading.result()
    assert await reaper.row(DATA) is None


async def test_r11_a_late_placing_is_told_of_its_lease(world: World) -> None:
    """The sweeper has taken its staged bytes: the answer is that, not that a file is missing."""
    reaper, uploader = await world.two()
    reserved = uploader.stop("before place")
    async with world.together() as start:
        uploading = start(uploader.stream, DATA, lease_s=0)
        await reserved.reached()
        report = await reaper.collect(tombstone_retention_s=3600)
        assert (report.reaped, report.swept) == (1, 1)
        reserved.go()
        with pytest.raises(UploadExpired):
            await uploading.result()
    assert await reaper.row(DATA) is None


async def test_r11_a_slow_upload_hears_of_its_end_while_it_sends(world: World) -> None:
    """It renews its lease as it goes, and stops at once when there is none to renew."""
    reaper, uploader = await world.two()
    asked: list[str] = []

    async def slowly() -> AsyncIterator[bytes]:
        yield DATA
        assert (await reaper.collect()).reaped == 1
        asked.append("second")
        yield DATA
        asked.append("third")
        yield DATA

    with pytest.raises(UploadExpired):
        await uploader.stream(DATA * 3, body=slowly(), lease_s=0)
    assert asked == ["second"]


async def test_r11_a_slow_upload_with_a_lease_is_left_alone(world: World) -> None:
    """The reaper goes by the lease, not by the age."""
    reaper, uploader = await world.two()

    async def slowly() -> AsyncIterator[bytes]:
        yield DATA
        assert (await reaper.collect()).reaped == 0
        yield DATA

    uploaded = await uploader.stream(DATA * 2, body=slowly())
    assert await reaper.read(uploaded) == DATA * 2


@pytest.mark.parametrize("step", ["reserve", "commit", "renew", "abort"])
async def test_r11_a_lease_of_another_epoch_is_none(world: World, step: str) -> None:
    """It moves nothing, and takes nothing from the one who holds the true lease."""
    process = await world.process("one")
    objects = process.runtime.metadata.objects
    content = Content(blob_key(DATA).content_hash, len(DATA))
    intent = process.intent()
    lease = await objects.begin(intent, lease_s=3600)
    if step != "reserve":
        lease = (await objects.reserve(lease, content)).lease
    lost = replace(lease, epoch=lease.epoch + 1)
    if step == "abort":
        await objects.abort(lost)
    else:
        calls = {
            "reserve": lambda: objects.reserve(lost, content),
            "commit": lambda: objects.commit(lost, "late"),
            "renew": lambda: objects.renew(lost, lease_s=3600),
        }
        with pytest.raises(UploadExpired):
            await calls[step]()
    assert await objects.find(TENANT, intent.new.id) is None
    assert await objects.live_uploads([intent.new.id]) == {intent.new.id}
    await objects.abort(lease)


async def test_r11_a_key_is_taken_over_from_a_lost_lease(world: World) -> None:
    """Nobody waits for the reaper: who wants the key ends the lease that is over."""
    one, two = await world.two()
    placed = one.stop("before objects.commit")
    async with world.together() as start:
        late = start(one.upload, b"late", "k", lease_s=0)
        await placed.reached()
        winner = await two.upload(DATA, "k")
        placed.go()
        with pytest.raises(UploadExpired):
            await late.result()
    assert await two.holder("k") == winner


# -- R17: the outcome of a commit is unknown ----------------------------------------------------

CUT = "the connection was cut"


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r17_a_commit_that_happened_is_acknowledged(world: World, how: str) -> None:
    """The answer was lost, not the commit: the upload looks, and says what is true."""
    process = await world.process("one")
    process.stop("after objects.commit").fail(Unavailable(CUT))
    uploaded = await getattr(process, how)(DATA, "k")
    assert await process.holder("k") == uploaded
    assert process.points.passed.count("before objects.commit") == 1  # never twice


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r17_a_commit_that_did_not_happen_is_not(world: World, how: str) -> None:
    """Nothing visible, nothing held, the key free; the client may try again."""
    process = await world.process("one")
    process.stop("before objects.commit").fail(Unavailable(CUT))
    with pytest.raises(Unavailable):
        await getattr(process, how)(DATA, "k")
    assert await process.holder("k") is None
    assert (await process.row(DATA)).ref_count == 0
    await process.upload(DATA, "k")


async def test_r17_a_commit_that_is_still_on_its_way(world: World) -> None:
    """Not there when looked for, so not acknowledged; then the abort ends it for good."""
    process, other = await world.two()
    leases: list[Any] = []
    inner = process.runtime.metadata.objects

    async def commit(lease: Any, locator: Any) -> Any:
        leases.append((lease, locator))
        raise Unavailable(CUT)

    process.metadata.objects.commit = commit
    with pytest.raises(Unavailable):
        await process.upload(DATA, "k")
    with pytest.raises(UploadExpired):
        await inner.commit(*leases[0])
    assert await other.holder("k") is None


async def test_r17_nobody_can_tell(world: World) -> None:
    """The look-up fails as well: not acknowledged, and the object, if there is one, is whole."""
    process, other = await world.two()
    process.stop("after objects.commit").fail(Unavailable(CUT))
    process.stop("before objects.find").fail(Unavailable(CUT))
    with pytest.raises(Unavailable):
        await process.upload(DATA, "k")
    found = await other.holder("k")
    assert found is not None
    assert await other.read(found) == DATA


async def test_r17_a_single_statement_that_happened(world: World) -> None:
    """Bytes that are stored already are committed at once; that answer may be lost as well."""
    process = await world.process("one")
    await process.upload(DATA)
    process.stop("after objects.begin_reserved").fail(Unavailable(CUT))
    uploaded = await process.upload(DATA, "k")
    assert await process.holder("k") == uploaded
    assert (await process.row(DATA)).ref_count == 2
    with anyio.fail_after(60):
        await process.read(uploaded)
