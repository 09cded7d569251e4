"""Which backup is meant, and what is found to be damaged."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from juststorage.domain import ContentHash, StoredObject
from juststorage.errors import (
    BackupUnreadable,
    Corrupt,
    Invalid,
    JustStorageError,
    NotFound,
    Unavailable,
)


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
    with pytest.raises(BackupUnreadable, match="no backup can be read"):
        await vault.newest()


async def test_a_cut_manifest_is_no_backup(service: Any, vault: Any) -> None:
    """It is named; which one is the newest is unknown, so the older one has to be asked for."""
    await vault.fill(service)
    first = await vault.create(service)
    second = await vault.create(service)
    content_hash, data = vault.manifest_of(second.id, service)
    for broken in (
        data[:-10],
        data[:-70],
        data[: len(data) // 2],
        b"",
        data.replace(b"2", b"3", 1),
    ):
        await vault.manifests.put(StoredObject, content_hash, broken)
        there = await vault.target.manifests()
        (wrong,) = there.unreadable
        assert [each.id for each in there.readable] == [first.id]
        assert "manifest is damaged" in str(wrong) and wrong.is_damaged
        with pytest.raises(NotFound, match="1 cannot be read"):
            there.choose(second.id)
        with pytest.raises(BackupUnreadable, match=r"a manifest here cannot be read.*--id"):
            there.choose(None)
    async with vault.empty(service) as other:
        assert (await vault.restore(other, backup_id=first.id)).ended


async def test_many_manifests_that_cannot_be_read(service: Any, vault: Any) -> None:
    """One of them may be the newest; they are counted, and the first is named."""
    for _ in range(3):
        await vault.create(service)
    for place in sorted(vault.manifests._placed)[1:]:
        vault.manifests._placed[place] = b"X"
    with pytest.raises(BackupUnreadable, match=r"2 manifests here .*--discard-damaged"):
        await vault.newest()


async def test_damaged_manifests_are_discarded(service: Any, vault: Any) -> None:
    """The others are left; what there is now can be listed, and its newest one chosen."""
    first = await vault.create(service)
    second = await vault.create(service)
    content_hash, data = vault.manifest_of(second.id, service)
    await vault.manifests.put(StoredObject, content_hash, data[:-1])
    there = await vault.target.manifests()
    left = await vault.target.discard_manifests(there)
    assert (left.unreadable, left.choose(None).id) == ([], first.id)
    assert await vault.target.manifests() == left


async def test_manifests_that_may_be_whole_are_not_discarded(service: Any, vault: Any) -> None:
    """One of a later release, and one that the store does not give now."""
    first = await vault.create(service)
    second = await vault.create(service)
    content_hash, data = vault.manifest_of(second.id, service)
    text = data.split(b"\n")[0].replace(b'"version":1', b'"version":2')
    later = b"%b\n%b\n" % (text, hashlib.sha256(text).hexdigest().encode())
    await vault.manifests.put(StoredObject, content_hash, later)
    left = await vault.target.discard_manifests(await vault.target.manifests())
    (wrong,) = left.unreadable
    assert "format 2" in wrong.detail and not wrong.is_damaged
    with pytest.raises(BackupUnreadable) as refused:
        left.choose(None)
    assert "--discard-damaged" not in refused.value.detail
    assert left.choose(first.id).id == first.id

    async def away() -> None:
        raise Unavailable("the disk does not answer")

    inner = vault.manifests
    vault.manifests = vault.at(inner, "open", away)
    there = await vault.target.manifests()
    assert [each.is_damaged for each in there.unreadable] == [False, False]
    assert await vault.target.discard_manifests(there) == there
    vault.manifests = inner
    assert len((await vault.target.manifests()).readable) == 1


async def test_a_manifest_that_goes_while_all_are_read(service: Any, vault: Any) -> None:
    """Somebody else has discarded it: it is no longer there, and no trouble either."""
    await vault.create(service)
    inner = vault.manifests

    async def discard() -> None:
        await inner.remove(list(inner._placed))

    vault.manifests = vault.at(inner, "open", discard)
    there = await vault.target.manifests()
    assert (there.readable, there.unreadable) == ([], [])


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
