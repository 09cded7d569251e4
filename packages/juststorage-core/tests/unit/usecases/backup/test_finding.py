"""Which backup is meant, and what is found to be damaged."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import ContentHash, StoredObject
from juststorage.errors import Corrupt, Invalid, JustStorageError, NotFound


async def test_which_backup(service: Any, vault: Any) -> None:
    """By the beginning of its id, as long as that says which."""
    first = await vault.create(service)
    second = await vault.create(service)
    assert (await vault.target.manifest(first.id)).id == first.id
    assert (await vault.target.manifest(second.id)).id == second.id
    with pytest.raises(Invalid, match="2 backups"):
        await vault.target.manifest(first.id[:3])
    with pytest.raises(NotFound, match="no backup ffff"):
        await vault.target.manifest("ffff")


async def test_no_backup_at_all(service: Any, vault: Any) -> None:
    """Neither an empty target nor one with nothing but damage is taken for a backup."""
    with pytest.raises(NotFound, match="no backup here"):
        await vault.newest()
    await vault.manifests.put(StoredObject, service.hasher.hash(b"x"), b"x")
    with pytest.raises(Corrupt, match="no backup can be read"):
        await vault.newest()


async def test_a_cut_manifest_is_no_backup(service: Any, vault: Any) -> None:
    """It is named, the older backup is the newest one then, and restores."""
    await vault.fill(service)
    first = await vault.create(service)
    second = await vault.create(service)
    (data,) = [data for data in vault.manifests._placed.values() if second.id.encode() in data]
    content_hash = service.hasher.hash(data)
    for broken in (
        data[:-10],
        data[:-70],
        data[: len(data) // 2],
        b"",
        data.replace(b"2", b"3", 1),
    ):
        await vault.manifests.put(StoredObject, content_hash, broken)
        found, (wrong,) = await vault.target.manifests()
        assert [each.id for each in found] == [first.id]
        assert "manifest is damaged" in wrong
        with pytest.raises(NotFound, match="1 cannot be read"):
            await vault.target.manifest(second.id)
    assert (await vault.newest()).id == first.id
    async with vault.empty(service) as other:
        assert (await vault.restore(other)).ended


@pytest.mark.parametrize("becomes", [b"smelL", b"smal", b""])
@pytest.mark.parametrize("discard", [False, True])
async def test_damaged_contents_are_found(
    service: Any, vault: Any, becomes: bytes, discard: bool
) -> None:
    """A bit that has flipped, and bytes that are missing; discarded, the next backup heals it."""
    await vault.fill(service)
    await vault.create(service)
    await vault.damage(b"small", service, becomes)
    (damage,) = await vault.verify(service, discard=discard)
    assert damage.subject == service.hasher.hash(b"small")
    assert damage.discarded == discard
    assert len(await vault.verify(service, quick=True)) == (becomes != b"smelL" or discard)
    report = await vault.create(service)
    assert report.copied == (len(becomes) != 5 or discard)
    assert (await vault.verify(service) == []) == (len(becomes) != 5 or discard)


async def test_damaged_segments_are_found(service: Any, vault: Any) -> None:
    """A state that is not whole is not restored from: nothing is changed."""
    await vault.fill(service)
    await vault.create(service)
    (ref,) = (await vault.newest()).segments
    content_hash = ContentHash(ref.content_hash)
    data = vault.contents._placed[vault.contents.locator_of(content_hash)]
    for broken in (data[:-1], data[:20], bytes([data[0] ^ 1]) + data[1:]):
        await vault.contents.put(StoredObject, content_hash, broken)
        (damage,) = await vault.verify(service)
        assert damage.subject == ref.content_hash
        async with vault.empty(service) as other:
            with pytest.raises(Corrupt, match="segment"):
                await vault.restore(other)
            assert await other.metadata.backups.holds() == []
            assert await other.placed() == []
    (damage,) = await vault.verify(service, discard=True)
    await vault.create(service)
    assert await vault.verify(service) == []


async def test_unknown_hashers_are_told(service: Any, vault: Any) -> None:
    """Contents are never taken for whole unchecked."""
    await vault.fill(service)
    await vault.create(service)
    service.hasher = type("Other", (), {"algorithm": "other"})()  # type: ignore[assignment]
    with pytest.raises(JustStorageError, match="no hasher for sha256"):
        await vault.verify(service)
