"""What only the memory blob store itself can be asked: its clock, and calls without the guard."""

from __future__ import annotations

import pytest

from juststorage.domain import ObjectId
from juststorage.errors import Unavailable
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.testing import FakeClock, make_content

pytest_plugins = ["juststorage.testing.fixtures"]

HASH = make_content("x").content_hash


@pytest.fixture
def store(fake_clock: FakeClock) -> MemoryBlobStore:
    """A store whose clock the test moves."""
    return MemoryBlobStore(fake_clock)


async def test_ages_are_by_the_clock(store: MemoryBlobStore, fake_clock: FakeClock) -> None:
    """Staged entries age from their last write, trashed blobs from their removal."""
    staged = await store.stage(ObjectId.new())
    await fake_clock.advance(10)
    await staged.write(b"x")
    await fake_clock.advance(5)
    assert await store.staged(older_than_s=5.1, limit=9) == []
    assert len(await store.staged(older_than_s=5, limit=9)) == 1
    await staged.finish()
    await store.remove([await store.place(staged, HASH)])
    await fake_clock.advance(5)
    assert await store.trash(older_than_s=5.1, limit=9) == []
    assert len(await store.trash(older_than_s=5, limit=9)) == 1


async def test_placing_what_was_swept(store: MemoryBlobStore) -> None:
    """Bytes that a sweeper discarded cannot be placed any more."""
    staged = await store.stage(ObjectId.new())
    await staged.finish()
    await store.discard(await store.staged(older_than_s=0, limit=9))
    with pytest.raises(Unavailable):
        await store.place(staged, HASH)
    assert await store.scan(after=None, limit=9) == []


async def test_there_is_no_volume(store: MemoryBlobStore) -> None:
    """A process's memory has no free space to speak of."""
    assert await store.space() is None
