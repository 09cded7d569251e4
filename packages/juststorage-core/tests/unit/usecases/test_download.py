"""Downloads: never other bytes than the object's."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from juststorage.domain import BlobKey, StorageClass
from juststorage.errors import BlobMissing, Corrupt, NotFound, Unavailable
from juststorage.testing.faults import WrappedBlobStore
from juststorage.usecases import DownloadObject, VerifiedContents


async def stored(service: Any, data: bytes = b"abc") -> Any:
    """A committed object."""
    return (await service.upload().whole(service.intent("k"), data)).object


async def whole(download: Any, reader: Any, found: Any, got: list[bytes]) -> None:
    """Read it as an answer does."""
    data = await download.small(reader, found)
    if data is not None:
        got.append(data)
        return
    async with aclosing(download.pieces(reader, found)) as pieces:
        async for piece in pieces:
            got += [piece]


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
        assert await download.small(reader, found) == b"abc"
        with pytest.raises(Corrupt):
            await download.small(
                reader, msgspec.structs.replace(found, content_hash=other.content_hash)
            )


async def test_what_was_verified_is_remembered(service: Any) -> None:
    """By its hash, hence for every object of that content; only whole and of the recorded size."""
    found = await stored(service)
    same = (await service.upload().whole(service.intent(), b"abc")).object
    download = service.download(cache_bytes=3)
    assert download.remembered(found) is None
    async with await download.open(found) as reader:
        assert await download.small(reader, found) == b"abc"
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
            await download.small(reader, wrong)
    assert download.remembered(wrong) is download.remembered(found) is None


async def test_large_bodies_are_not_read_at_once(service: Any) -> None:
    """Over 64 KiB a body is not for the event loop."""
    found = await stored(service, bytes(64 * 1024 + 1))
    download = service.download()
    async with await download.open(found) as reader:
        assert await download.small(reader, found) is None


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


async def test_a_wrong_large_body_is_told_and_healed(
    service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It never completes; it is logged, counted and distrusted, so an upload places it again."""
    data = bytes(200_000)
    found = await stored(service, data)
    service.blobs[StorageClass.HOT]._placed[found.locator] = data[:-1] + b"!"
    told: list[Any] = []
    download = service.download(on_damage=lambda *what: told.append(what))
    async with await download.open(found) as reader:
        assert await download.small(reader, found) is None
        got: list[bytes] = []
        with pytest.raises(Corrupt):
            await whole(download, reader, found, got)
    assert sum(map(len, got)) < len(data)
    assert told == [(StorageClass.HOT, "hash")]
    [record] = [record for record in caplog.records if record.message == "damage_found"]
    assert record.content_hash == str(found.content_hash)
    again = (await service.upload().whole(service.intent(), data)).object
    async with await download.open(again) as reader:
        got = []
        await whole(download, reader, again, got)
        assert b"".join(got) == data


@pytest.mark.parametrize("size", [3, 200_000])
async def test_unreadable_bytes_are_told(service: Any, size: int) -> None:
    """Of every size: what the medium does not give back is damage."""

    class Unreadable(WrappedBlobStore):
        async def open(self, locator: str) -> Any:
            reader = await super().open(locator)

            async def chunks(start: int, length: int) -> Any:
                raise Corrupt("the blob ended early")
                yield b""

            reader.chunks = chunks
            reader.read_now = lambda start, length: None
            return reader

    found = await stored(service, bytes(size))
    service.blobs[StorageClass.HOT] = Unreadable(service.blobs[StorageClass.HOT])
    told: list[Any] = []
    download = service.download(on_damage=lambda *what: told.append(what))
    async with await download.open(found) as reader:
        with pytest.raises(Corrupt):
            await whole(download, reader, found, [])
    assert told == [(StorageClass.HOT, "unreadable")]


async def test_a_small_body_that_is_not_in_memory_is_verified(service: Any) -> None:
    """It is waited for, and hashed like one that is at hand."""
    found = await stored(service)
    download = service.download(cache_bytes=3)
    async with await download.open(found) as reader:
        reader.read_now = lambda start, length: None
        assert await download.small(reader, found) == b"abc"
    assert download.remembered(found) == b"abc"


async def test_what_no_hasher_names_is_sent_as_it_is(service: Any) -> None:
    """Its hasher is not installed any more; nothing can be compared, and nothing is remembered."""
    found = await stored(service)
    download = DownloadObject(service.metadata, service.blobs, {}, cache_bytes=3)
    async with await download.open(found) as reader:
        assert await download.small(reader, found) == b"abc"
    assert download.remembered(found) is None


async def test_damage_is_told_although_it_cannot_be_noted(service: Any) -> None:
    """Without the metadata store the blob stays trusted; the reader gets its error all the same."""

    class Away:
        async def distrust(self, key: Any) -> None:
            raise Unavailable("away")

    found = await stored(service)
    download = service.download()
    download._rows = Away()
    with pytest.raises(Corrupt):
        await download.open(msgspec.structs.replace(found, size_bytes=2))


async def test_parts_end_the_trust(service: Any) -> None:
    """What a part brings from the medium into memory is hashed before it is sent as a whole."""
    found = await stored(service, bytes(200_000))
    key = BlobKey(found.content_hash, found.storage_class)
    verified = VerifiedContents(lambda: 0.0, for_s=1)
    download = service.download(verified=verified)
    async with await download.open(found) as reader:
        for from_memory in (True, False):
            verified.add(key, "word", 0)
            reader.from_memory = from_memory
            download.read_in_part(reader, found)
            assert verified.has(key, "word") is from_memory
