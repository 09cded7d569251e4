"""What comes back of a backup, beside what is there, and after interruptions."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import ObjectId, StorageClass, StoredObject
from juststorage.errors import BackupUnreadable, InvalidState, Misconfigured, NotFound, Unavailable
from juststorage.testing import make_api_key

LARGE = bytes(range(256)) * 4096


async def test_a_whole_state_comes_back(service: Any, vault: Any) -> None:
    """Objects, bytes, keys; and the progress adds up to what was announced."""
    objects = await vault.fill(service)
    api_key = await service.metadata.api_keys.create(make_api_key())
    await service.deleted(b"garbage")
    report = await vault.create(service)
    assert report.records == {"api_keys": 1, "blobs": 4, "objects": 5}
    assert (report.copied, report.found) == (3, 0)
    assert vault.seen.expected == vault.seen.done == len(LARGE) + 10
    again = await vault.create(service)
    assert (again.copied, again.bytes_copied, again.found) == (0, 0, 3)
    async with vault.empty(service) as other:
        restored = await vault.restore(other)
        assert (restored.copied, restored.found, restored.continued) == (4, 0, False)
        for each in objects:
            assert await other.metadata.objects.find(each.tenant_id, each.id) == each
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        assert await other.metadata.api_keys.find(api_key.id) == api_key
        assert (await other.metadata.usage.of(objects[0].tenant_id)).objects == 5


async def test_an_empty_state(service: Any, vault: Any) -> None:
    """A backup of nothing is one."""
    report = await vault.create(service)
    assert report.records == {}
    assert await vault.verify(service) == []
    async with vault.empty(service) as other:
        assert (await vault.restore(other)).ended


async def test_many_objects_in_several_segments(
    service: Any, vault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of records holds across segments."""
    monkeypatch.setattr("juststorage.usecases._backup._format._SEGMENT_RECORDS", 2)
    monkeypatch.setattr("juststorage.usecases._backup._create._PAGE", 2)
    monkeypatch.setattr("juststorage.usecases._backup._restore._PAGE", 3)
    monkeypatch.setattr("juststorage.usecases._backup._verify._PAGE", 1)
    objects = await vault.fill(service)
    await vault.create(service)
    assert len((await vault.newest()).segments) == 5
    assert await vault.verify(service) == []
    async with vault.empty(service) as other:
        await vault.restore(other)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_an_older_state_beside_newer_blobs(service: Any, vault: Any) -> None:
    """R22: the database is restored to an earlier time, the volume is as it was left."""
    objects = await vault.fill(service)
    await vault.create(service)
    newer = (await service.upload().whole(service.intent("new"), b"newer")).object
    for each in objects:
        await service.metadata.objects.delete_many(each.tenant_id, [each.id])
    await service.collect().run()
    large = service.hasher.hash(LARGE)
    await service.upload().stream(service.intent(), service.body(LARGE))  # placed anew
    async with vault.empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert (report.copied, report.found) == (3, 1)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        # What the state does not know is adopted, and collected.
        await other.collect().run()
        await other.collect().run()
        locators = await other.placed()
        assert str(newer.content_hash) not in locators and str(large) in locators
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_the_volume_helps_where_the_backup_is_damaged(service: Any, vault: Any) -> None:
    """Bytes that the backup lost are looked for in the trash."""
    objects = await vault.fill(service)
    await vault.create(service)
    await vault.lose(b"small", service)
    await vault.damage(LARGE, service, LARGE[:-1] + b"?")
    for store in service.blobs.values():
        names = [placed.locator for placed in await store.scan(after=None, limit=9)]
        await store.remove(names)
    async with vault.empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert report.missing == [] and report.found == 3 and report.copied == 1
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_damaged_bytes_of_the_volume_are_replaced(service: Any, vault: Any) -> None:
    """What is placed is believed only by its hash."""
    objects = await vault.fill(service)
    await vault.create(service)
    hot = service.blobs[StorageClass.HOT]
    await hot.put(objects[0].id, service.hasher.hash(b"small"), b"smelL")
    await hot.put(objects[0].id, service.hasher.hash(LARGE), b"short")
    async with vault.empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert (report.copied, report.found) == (2, 2)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_a_restore_into_something(service: Any, vault: Any) -> None:
    """Refused, and nothing is changed."""
    await vault.fill(service)
    await vault.create(service)
    with pytest.raises(InvalidState, match="objects"):
        await vault.restore(service)


async def test_a_class_that_is_not_there(service: Any, vault: Any) -> None:
    """Refused before anything is changed; for a backup too."""
    await vault.fill(service)
    await vault.create(service)
    hot = StorageClass.HOT
    async with vault.empty(service, blobs={hot: service.blobs[hot]}) as other:
        with pytest.raises(Misconfigured, match="cold"):
            await vault.restore(other)
        assert await other.metadata.backups.holds() == []
    del service.blobs[StorageClass.COLD]
    await vault.lose(b"small", service)
    with pytest.raises(Unavailable, match="cold is not configured"):
        await vault.create(service)


@pytest.mark.parametrize("method", ["stage", "place", "put", "open"])
async def test_an_interrupted_restore_goes_on(service: Any, vault: Any, method: str) -> None:
    """At each call of each store; no collector takes what is there already."""
    objects = await vault.fill(service)
    await vault.create(service)
    async with vault.empty(service) as other:
        inner, turn = dict(other.blobs), 0
        while True:
            turn += 1
            cut = vault.cut(turn)
            for storage_class, store in inner.items():
                other.blobs[storage_class] = vault.at(store, method, cut)
            try:
                report = await vault.restore(other)
            except Unavailable:
                other.blobs.update(inner)
                assert (await other.collect().run()).removed == 0
                continue
            break
        other.blobs.update(inner)
        assert turn > 1 and report.ended and report.continued
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        assert await other.metadata.backups.holds() == []
        with pytest.raises(InvalidState, match="objects"):
            await vault.restore(other)


async def test_what_a_restore_finds_survives_a_power_cut(service: Any, vault: Any) -> None:
    """An earlier restore placed it, and died over that; nothing is told to be stored before."""
    objects = await vault.fill(service)
    await vault.create(service)
    async with vault.empty(service) as other:
        for data in (b"small", LARGE):
            content_hash = service.hasher.hash(data)
            await other.blobs[StorageClass.HOT].put(ObjectId.new(), content_hash, data)
        hot = other.blobs[StorageClass.HOT] = vault.volatile(other.blobs[StorageClass.HOT])
        hot.is_broken = True
        with pytest.raises(Unavailable, match="a sync failed"):
            await vault.restore(other)
        rows = await other.metadata.blobs.scan(after=None, limit=100)
        assert [row.stored_at for row in rows] == [None] * 4
        hot.is_broken = False
        report = await vault.restore(other)
        assert (report.found, report.ended) == (4, True)
        assert await hot.power_cut() == 0
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_a_restore_goes_on_with_what_it_began(service: Any, vault: Any) -> None:
    """Though there is a newer backup by now; another one is refused, with what to do."""
    objects = await vault.fill(service)
    first = await vault.create(service)
    second = await vault.create(service)
    async with vault.empty(service) as other:
        await other.metadata.backups.begin_restore(f"restore {first.id}")
        with pytest.raises(InvalidState, match=f"restore --id {first.id}"):
            await vault.restore(other, backup_id=second.id)
        report = await vault.restore(other)
        assert (report.id, report.continued, report.ended) == (first.id, True, True)
        assert await vault.contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_a_restore_whose_backup_is_elsewhere(service: Any, vault: Any) -> None:
    """The newest one that is here is not taken in its place."""
    await vault.create(service)
    async with vault.empty(service) as other:
        await other.metadata.backups.begin_restore("restore 0190")
        with pytest.raises(NotFound, match=r"backup 0190 has begun.*there is no backup 0190 here"):
            await vault.restore(other)


async def test_another_one_damaged_does_not_matter_to_what_was_begun(
    service: Any, vault: Any
) -> None:
    """It is known which backup is meant."""
    first = await vault.create(service)
    content_hash, data = vault.manifest_of((await vault.create(service)).id, service)
    await vault.manifests.put(StoredObject, content_hash, data[:-1])
    async with vault.empty(service) as other:
        with pytest.raises(BackupUnreadable):
            await vault.restore(other)
        assert await other.metadata.backups.holds() == []
        await other.metadata.backups.begin_restore(f"restore {first.id}")
        assert (await vault.restore(other)).ended
