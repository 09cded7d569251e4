"""The fault wrappers: they fail as told, and otherwise keep the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from juststorage.domain import ObjectId
from juststorage.errors import StorageFull, Unavailable
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.ports import BlobStore
from juststorage.testing import make_content, open_backend
from juststorage.testing.faults import (
    CorruptingBlobStore,
    FailingBlobStore,
    PausingBlobStore,
    WrappedBlobStore,
)

pytest_plugins = ["juststorage.testing.fixtures"]

DATA = bytes(range(256)) * 1000
HASH = make_content(DATA).content_hash


@pytest.fixture
async def store() -> AsyncIterator[BlobStore]:
    """A blob store that works."""
    async with open_backend(MEMORY_BLOBS) as store:
        yield store


async def upload(store: BlobStore, data: bytes = DATA, *, step: int = 50_000) -> str:
    """Stage and place."""
    async with await store.stage(ObjectId.new()) as staged:
        for at in range(0, len(data), step):
            await staged.write(data[at : at + step])
        await staged.finish()
        assert staged.size_bytes == len(data)
        return await store.place(staged, HASH)


async def read(store: BlobStore, locator: str) -> bytes:
    """All of it."""
    async with await store.open(locator) as reader:
        return b"".join([chunk async for chunk in reader.chunks(0, reader.size_bytes)])


async def test_a_wrapper_passes_everything_on(store: BlobStore) -> None:
    """Without faults it is the store that it wraps."""
    wrapped = WrappedBlobStore(store)
    locator = await upload(wrapped)
    assert await wrapped.put(ObjectId.new(), HASH, DATA) == locator
    assert await read(wrapped, locator) == DATA
    assert await wrapped.stat(locator) == len(DATA)
    assert len(await wrapped.scan(after=None, limit=9)) == 1
    assert await wrapped.remove([locator]) == {}
    trashed = await wrapped.trash(older_than_s=0, limit=9)
    assert await wrapped.restore(locator)
    await wrapped.purge(trashed)
    async with await wrapped.stage(ObjectId.new()):
        entries = await wrapped.staged(older_than_s=0, limit=9)
        assert len(entries) == 1
        await wrapped.discard(entries)
    assert await wrapped.space() is None
    await wrapped.ping()


@pytest.mark.parametrize("room", [0, 1, 49_999, 50_000, 50_001, len(DATA) - 1])
async def test_failing_after_some_bytes(store: BlobStore, room: int) -> None:
    """The upload fails inside a write, with the bytes so far written, and leaves nothing."""
    failing = FailingBlobStore(store, after_bytes=room, error=lambda: StorageFull("full"))
    with pytest.raises(StorageFull):
        await upload(failing)
    with pytest.raises(StorageFull):
        await failing.put(ObjectId.new(), HASH, DATA)
    assert await store.scan(after=None, limit=9) == []
    assert await store.staged(older_than_s=0, limit=9) == []


async def test_room_enough(store: BlobStore) -> None:
    """An upload of exactly the limit passes, and so does one where there is none."""
    for after_bytes in (len(DATA), None):
        failing = FailingBlobStore(store, after_bytes=after_bytes)
        locator = await upload(failing)
        assert await failing.put(ObjectId.new(), HASH, DATA) == locator
        assert await read(failing, locator) == DATA


async def test_failing_methods(store: BlobStore) -> None:
    """Named methods fail until they are no longer named."""
    failing = FailingBlobStore(store, methods={"place", "ping"})
    with pytest.raises(Unavailable):
        await failing.ping()
    with pytest.raises(Unavailable):
        await upload(failing)
    failing.methods.clear()
    await upload(failing)


async def test_pausing(store: BlobStore) -> None:
    """A call waits until it is released, and the test knows that it waits."""
    pausing = PausingBlobStore(store, {"place"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upload, pausing)
        await pausing.reached("place")
        assert await store.scan(after=None, limit=9) == []
        pausing.release("place")
    assert len(await store.scan(after=None, limit=9)) == 1
    await upload(pausing)


@pytest.mark.parametrize("at", [0, 1, 65_535, 65_536, len(DATA) - 1])
async def test_corrupting(store: BlobStore, at: int) -> None:
    """One bit is wrong, wherever a read begins; what is stored is right."""
    locator = await upload(store)
    corrupting = CorruptingBlobStore(store, at=at)
    wrong = await read(corrupting, locator)
    assert [place for place in range(len(DATA)) if wrong[place] != DATA[place]] == [at]
    assert wrong[at] == DATA[at] ^ 1
    async with await corrupting.open(locator) as reader:
        assert reader.read_now(0, len(DATA)) == wrong
        tail = b"".join([chunk async for chunk in reader.chunks(at, len(DATA) - at)])
        assert tail == wrong[at:]
    assert await read(store, locator) == DATA
