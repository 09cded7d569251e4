"""Downloads: never other bytes than the object's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import BlobMissing, Corrupt, NotFound, Unavailable


async def stored(service: Any, data: bytes = b"abc") -> Any:
    """A committed object."""
    return (await service.upload().whole(service.intent("k"), data)).object


async def test_a_deleted_object_is_not_found(service: Any) -> None:
    """An object that was deleted between look-up and opening is a 404, not a failure (R06)."""
    found = await stored(service)
    await service.metadata.objects.delete(found.tenant_id, found.id)
    await service.collect().run()
    with pytest.raises(NotFound):
        await service.download().open(found)


async def test_trashed_bytes_are_restored(service: Any) -> None:
    """Bytes that a late collector moved to the trash come back for the first reader (R19)."""
    found = await stored(service)
    await service.blobs[StorageClass.HOT].remove([found.locator])
    assert await service.content(found) == b"abc"
    assert await service.placed() == [found.locator]


async def test_lost_bytes_are_said_to_be_lost(service: Any) -> None:
    """Bytes that are nowhere are `blob_missing`, never an empty body."""
    found = await stored(service)
    store = service.blobs[StorageClass.HOT]
    await store.remove([found.locator])
    await store.purge(await store.trash(older_than_s=0, limit=10))
    with pytest.raises(BlobMissing):
        await service.download().open(found)


async def test_another_size_is_corrupt(service: Any) -> None:
    """Bytes of another length than recorded are refused before the first one is sent."""
    found = await stored(service)
    with pytest.raises(Corrupt):
        await service.download().open(msgspec.structs.replace(found, size_bytes=2))


async def test_small_bodies_are_verified(service: Any) -> None:
    """A small body whose bytes changed at rest is refused by its hash."""
    found = await stored(service)
    other = (await service.upload().whole(service.intent(), b"abd")).object
    download = service.download()
    async with await download.open(found) as reader:
        assert download.read_now(reader, found) == b"abc"
        with pytest.raises(Corrupt):
            download.read_now(
                reader, msgspec.structs.replace(found, content_hash=other.content_hash)
            )


async def test_what_was_verified_is_remembered(service: Any) -> None:
    """By its hash, hence for every object of that content; only whole and of the recorded size."""
    found = await stored(service)
    same = (await service.upload().whole(service.intent(), b"abc")).object
    download = service.download(cache_bytes=3)
    assert download.remembered(found) is None
    async with await download.open(found) as reader:
        assert download.read_now(reader, found) == b"abc"
    assert download.remembered(found) == download.remembered(same) == b"abc"
    assert download.remembered(msgspec.structs.replace(found, size_bytes=2)) is None


async def test_what_is_not_what_it_should_be_is_not_remembered(service: Any) -> None:
    """Bytes that fail their hash are kept under no name."""
    found = await stored(service)
    other = (await service.upload().whole(service.intent(), b"abd")).object
    wrong = msgspec.structs.replace(found, content_hash=other.content_hash)
    download = service.download(cache_bytes=1024)
    async with await download.open(found) as reader:
        with pytest.raises(Corrupt):
            download.read_now(reader, wrong)
    assert download.remembered(wrong) is download.remembered(found) is None


async def test_large_bodies_are_not_read_at_once(service: Any) -> None:
    """Over 64 KiB a body is not for the event loop."""
    found = await stored(service, bytes(64 * 1024 + 1))
    download = service.download()
    async with await download.open(found) as reader:
        assert download.read_now(reader, found) is None


async def test_a_class_without_store_is_unavailable(service: Any) -> None:
    """An object whose storage class is no longer configured is there, but cannot be read."""
    found = await stored(service)
    del service.blobs[StorageClass.HOT]
    with pytest.raises(Unavailable):
        await service.download().open(found)


async def test_uploading_lost_bytes_again_mends_every_object(service: Any) -> None:
    """Once a loss is noticed, an upload of equal bytes places them and does not count on them."""
    found = await stored(service)
    store = service.blobs[StorageClass.HOT]
    await store.remove([found.locator])
    await store.purge(await store.trash(older_than_s=0, limit=10))
    with pytest.raises(BlobMissing):
        await service.download().open(found)
    again = (await service.upload().whole(service.intent(), b"abc")).object
    assert await service.content(again) == b"abc"
    assert await service.content(found) == b"abc"
