"""Backups on their way: what fails, what is interrupted, and what a collector may take."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import BlobMissing, InvalidState, StorageFull, Unavailable

LARGE = bytes(range(256)) * 4096


async def test_one_class_stands_in_for_the_other(service: Any, vault: Any) -> None:
    """Bytes that are damaged hot and whole cold are backed up."""
    (stored, *_) = await vault.fill(service)
    await service.blobs[StorageClass.HOT].put(stored.id, service.hasher.hash(b"small"), b"smelL")
    report = await vault.create(service)
    assert report.missing_count == 0
    assert await vault.verify(service) == []


async def test_trashed_bytes_are_backed_up(service: Any, vault: Any) -> None:
    """A collector that woke up late has moved them; they are brought back, as for a reader."""
    (stored, *_) = await vault.fill(service)
    assert stored.locator is not None
    await service.blobs[StorageClass.HOT].remove([stored.locator])
    assert (await vault.create(service)).missing_count == 0
    assert await vault.verify(service) == []


async def test_a_blob_that_is_lost_is_named(service: Any, vault: Any) -> None:
    """What cannot be backed up does not keep the rest from it, and is not taken for backed up."""
    objects = await vault.fill(service)
    hot = service.blobs[StorageClass.HOT]
    large = objects[4]
    assert large.locator is not None
    await hot.remove([large.locator])
    for trashed in await hot.trash(older_than_s=0, limit=9):
        await hot.purge([trashed])
    report = await vault.create(service)
    assert report.missing_count == 1 and str(large.content_hash) in report.missing[0]
    damages = await vault.verify(service)
    assert {"could not be read" in damage.detail for damage in damages} == {True, False}
    async with vault.empty(service) as other:
        restored = await vault.restore(other)
        assert not restored.ended and str(large.content_hash) in restored.missing[0]
        assert len(await other.metadata.backups.holds()) == 1
        with pytest.raises(BlobMissing):
            await vault.contents_of(other, [large])
        assert (await vault.restore(other, accept_missing=True)).ended
        assert await vault.contents_of(other, objects[:4]) == [b"small", b"small", b"small", b""]
        # Whoever uploads the bytes again heals what refers to them.
        await other.upload().stream(other.intent(), other.body(LARGE))
        assert await vault.contents_of(other, [large]) == [LARGE]


async def test_a_volume_that_is_lost_is_counted(service: Any, vault: Any) -> None:
    """All blobs that are missing count, and the first thousand are named: memory has a bound."""
    upload = service.upload()
    for number in range(1002):
        await upload.whole(service.intent(), str(number).encode())
    hot = service.blobs[StorageClass.HOT]
    await hot.remove([placed.locator for placed in await hot.scan(after=None, limit=2000)])
    await hot.purge(await hot.trash(older_than_s=0, limit=2000))
    report = await vault.create(service)
    assert (report.missing_count, len(report.missing)) == (1002, 1000)
    async with vault.empty(service) as other:
        restored = await vault.restore(other)
        assert (restored.missing_count, len(restored.missing)) == (1002, 1000)
        assert not restored.ended


async def test_a_full_target(service: Any, vault: Any) -> None:
    """The backup fails as a whole, its hold ends, and there is no manifest."""

    async def full() -> None:
        raise StorageFull("no room")

    await vault.fill(service)
    vault.contents = vault.at(vault.contents, "stage", full)
    with pytest.raises(StorageFull):
        await vault.create(service)
    assert await service.metadata.backups.holds() == []
    assert (await vault.target.manifests()).readable == []


async def test_nothing_that_is_needed_is_collected(service: Any, vault: Any) -> None:
    """All is deleted as soon as the state is known, with no grace and no trash."""
    objects = await vault.fill(service)
    old = await service.deleted(b"old")
    await service.clock.advance(7200)

    async def collect() -> None:
        for each in objects:
            await service.metadata.objects.delete_many(each.tenant_id, [each.id])
        report = await service.collect().run()
        assert report.removed <= 1  # what had been garbage for long

    inner = vault.contents
    vault.contents = vault.at(inner, "sizes", collect)
    assert (await vault.create(service)).missing_count == 0
    vault.contents = inner
    assert old.content_hash is not None
    assert all(old.content_hash not in locator for locator in await service.placed())
    async with vault.empty(service) as other:
        await vault.restore(other)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
    await service.collect().run()
    assert await service.placed() == []


async def test_a_hold_that_runs_out(service: Any, vault: Any) -> None:
    """A backup that stood still for too long does not end as if it were one."""
    await vault.fill(service)

    async def lose() -> None:
        for hold in await service.metadata.backups.holds():
            await service.metadata.backups.release(hold.name)

    inner = vault.contents
    vault.contents = vault.at(inner, "stage", lose)
    with pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)
    vault.contents = vault.at(inner, "open", lose)
    with pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)
    assert (await vault.target.manifests()).readable == []
    vault.contents = inner
    report = await vault.create(service)
    assert report.copied == 0  # it went on where they were


async def test_a_hold_is_renewed_while_it_lasts(service: Any, vault: Any) -> None:
    """However long a copy takes, and though the metadata store is away for some of it."""
    await vault.fill(service)
    renewals: list[bool] = []
    renew = service.metadata.backups.renew

    async def sometimes(name: str, *, hold_s: float) -> bool:
        renewals.append(len(renewals) != 1)
        if len(renewals) == 2:
            raise Unavailable("away")
        return await renew(name, hold_s=hold_s)

    service.metadata.backups.renew = sometimes  # type: ignore[method-assign]

    async def slow() -> None:
        for _ in range(10):
            await service.clock.advance(200)
            await anyio.lowlevel.checkpoint()

    vault.contents = vault.at(vault.contents, "stage", slow)
    await vault.creation(service, hold_s=600).run()
    assert len(renewals) > 5
    assert await vault.verify(service) == []


async def test_a_hold_that_is_lost_ends_the_copy(service: Any, vault: Any) -> None:
    """At once, not when all has been copied for nothing."""
    await vault.fill(service)

    async def lose() -> None:
        for hold in await service.metadata.backups.holds():
            await service.metadata.backups.release(hold.name)
        await service.clock.advance(1000)
        await anyio.sleep_forever()

    vault.contents = vault.at(vault.contents, "stage", lose)
    with anyio.fail_after(5), pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)


async def test_a_hold_that_cannot_be_released(service: Any, vault: Any) -> None:
    """It ends by itself; the backup is one."""

    async def away(name: str) -> None:
        raise Unavailable("away")

    service.metadata.backups.release = away  # type: ignore[method-assign]
    await vault.create(service)
    await vault.newest()


@pytest.mark.parametrize("method", ["stage", "place", "put", "sizes", "open"])
async def test_an_interrupted_backup_goes_on(service: Any, vault: Any, method: str) -> None:
    """At the first, second, third call: what was copied is not copied again."""
    objects = await vault.fill(service)
    inner = vault.contents
    turn = 0
    while True:
        turn += 1
        vault.contents = vault.at(inner, method, vault.cut(turn))
        try:
            report = await vault.create(service)
        except Unavailable:
            assert await service.metadata.backups.holds() == []
            continue
        break
    assert turn > 1 and report.copied + report.found == 3
    vault.contents = inner
    assert await vault.verify(service) == []
    async with vault.empty(service) as other:
        await vault.restore(other)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_a_cancelled_backup_lets_go(service: Any, vault: Any) -> None:
    """Ctrl-C releases the hold."""
    await vault.fill(service)

    async def wait() -> None:
        scope.cancel()
        await anyio.sleep_forever()

    vault.contents = vault.at(vault.contents, "stage", wait)
    with anyio.CancelScope() as scope:
        await vault.create(service)
    assert scope.cancelled_caught
    assert await service.metadata.backups.holds() == []


async def test_what_a_backup_finds_survives_a_power_cut(service: Any, vault: Any) -> None:
    """Another backup placed it, and died, or has not made it durable yet; none is made of less."""
    await vault.fill(service)
    await vault.create(service)
    vault.contents = vault.volatile(vault.contents)
    vault.contents.is_broken = True
    with pytest.raises(Unavailable, match="a sync failed"):
        await vault.create(service)
    assert len((await vault.target.manifests()).readable) == 1
    vault.contents.is_broken = False
    report = await vault.create(service)
    assert report.found == 3
    assert await vault.contents.power_cut() <= 1, "at most the state of the first one"
    assert await vault.verify(service) == []


# -- a restore that has not ended -----------------------------------------------------------------


async def test_half_of_a_state_is_not_backed_up(service: Any, vault: Any) -> None:
    """It would be taken for the newest backup; nothing is written before the restore has ended."""
    await vault.fill(service)
    first = await vault.create(service)
    async with vault.empty(service) as other:
        await other.metadata.backups.begin_restore(f"restore {first.id}")
        before = len(vault.contents._placed)
        with pytest.raises(InvalidState, match=f"restore --id {first.id}"):
            await vault.create(other)
        assert len(vault.contents._placed) == before
        assert (await vault.newest()).id == first.id
        assert (await vault.restore(other)).ended
        assert (await vault.create(other)).records["objects"] == 5


async def test_a_restore_that_begins_beside_a_backup(service: Any, vault: Any) -> None:
    """What was read may be half of a state: it does not become a backup."""
    snapshot = service.metadata.backups.snapshot

    async def begun() -> Any:
        await service.metadata.backups.begin_restore("restore other")
        return await snapshot()

    service.metadata.backups.snapshot = begun
    with pytest.raises(InvalidState, match="restore --id other"):
        await vault.create(service)
    assert (await vault.target.manifests()).readable == []
    assert [each.name for each in await service.metadata.backups.holds()] == ["restore other"]
