"""Removing, and the trash."""

from __future__ import annotations

import anyio
import pytest

from juststorage.domain import Locator
from juststorage.errors import UnsupportedOperation
from juststorage.ports import BlobStore, TrashedBlob
from juststorage.testing.contracts._blob_base import (
    BlobTests,
    hash_of,
    pattern,
    place,
    put,
    read,
    scan_all,
)

__all__ = ["BlobRemoving"]


class BlobRemoving(BlobTests):
    """`remove`, and with the capability `trash` the way back."""

    def _need_trash(self) -> None:
        if not self.can.trash:
            pytest.skip("the backend declares no trash")

    async def _from(self, store: BlobStore, locator: Locator) -> list[TrashedBlob]:
        found = await store.trash(older_than_s=0, limit=1000)
        return [trashed for trashed in found if trashed.locator == locator]

    async def test_removing_what_is_absent_is_success(self, store: BlobStore) -> None:
        """Absent blobs count as removed, also among others and named twice."""
        gone, there = await place(store, b"gone"), await place(store, b"there")
        assert await store.remove([gone]) == {}
        assert await store.remove([gone, there, gone, there]) == {}
        assert await store.remove([]) == {}
        assert await scan_all(store) == []

    async def test_removing_takes_only_what_was_named(self, store: BlobStore) -> None:
        """The neighbours stay."""
        locators = [await put(store, pattern(100, seed=turn)) for turn in range(6)]
        assert await store.remove(locators[::2]) == {}
        assert [blob.locator for blob in await scan_all(store)] == sorted(locators[1::2])
        for locator in locators[::2]:
            assert await store.stat(locator) is None

    async def test_a_removed_blob_can_be_placed_again(self, store: BlobStore) -> None:
        """Bytes that were removed come back by another upload."""
        locator = await place(store, b"again")
        await store.remove([locator])
        again = await place(store, b"again")
        assert await read(store, again) == b"again"
        if self.can.trash:
            await store.purge(await store.trash(older_than_s=0, limit=10))
        assert await read(store, again) == b"again"

    async def test_removing_at_once(self, store: BlobStore) -> None:
        """Two collectors may remove the same blobs."""
        locators = [await put(store, pattern(100, seed=turn)) for turn in range(10)]
        failures: list[Locator] = []

        async def remove() -> None:
            failures.extend(await store.remove(locators))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(remove)
        assert failures == []
        assert await scan_all(store) == []

    async def test_without_trash_its_calls_are_refused(self, store: BlobStore) -> None:
        """A capability that is not declared is not there."""
        if self.can.trash:
            pytest.skip("the backend declares a trash")
        locator = await place(store, b"x")
        with pytest.raises(UnsupportedOperation):
            await store.restore(locator)
        with pytest.raises(UnsupportedOperation):
            await store.trash(older_than_s=0, limit=1)
        with pytest.raises(UnsupportedOperation):
            await store.purge([])

    async def test_restoring_brings_the_bytes_back(self, store: BlobStore) -> None:
        """A removed blob returns to its locator, and leaves the trash."""
        self._need_trash()
        data = pattern(100_000)
        locator = await place(store, data)
        await store.remove([locator])
        assert await store.restore(locator) is True
        assert await read(store, locator) == data
        assert await store.trash(older_than_s=0, limit=10) == []

    async def test_restoring_leaves_alone_what_is_there(self, store: BlobStore) -> None:
        """A blob at the locator stays, trash or not."""
        self._need_trash()
        locator = await place(store, b"there")
        assert await store.restore(locator) is True
        await store.remove([locator])
        if self.can.fixed_names:
            await place(store, b"there")
            assert await store.restore(locator) is True
            assert len(await self._from(store, locator)) == 1
            assert await read(store, locator) == b"there"

    async def test_restoring_what_never_was(self, store: BlobStore) -> None:
        """Nothing in the trash, nothing restored."""
        self._need_trash()
        locator = await place(store, b"once")
        await store.remove([locator])
        await store.purge(await store.trash(older_than_s=0, limit=10))
        assert await store.restore(locator) is False
        assert await store.stat(locator) is None

    async def test_the_trash_lists_what_was_removed(self, store: BlobStore) -> None:
        """Each removed blob is there with its locator, up to a limit, unless it is too young."""
        self._need_trash()
        data = {await place(store, each): each for each in (b"a", b"bb", b"ccc")}
        assert await store.trash(older_than_s=0, limit=10) == []
        await store.remove(list(data))
        assert await store.trash(older_than_s=3600, limit=10) == []
        assert len(await store.trash(older_than_s=0, limit=2)) == 2
        found = await store.trash(older_than_s=0, limit=10)
        assert {trashed.locator for trashed in found} == set(data)
        for trashed in found:
            assert trashed.content_hash in (None, hash_of(data[trashed.locator]))

    async def test_the_trash_is_walked_page_by_page(self, store: BlobStore) -> None:
        """Behind an entry come the others, each once, whether that entry is still there or not."""
        self._need_trash()
        locators = {await put(store, pattern(100, seed=turn)) for turn in range(7)}
        await store.remove(sorted(locators))
        seen: list[Locator] = []
        after: str | None = None
        while page := await store.trash(older_than_s=0, limit=2, after=after):
            seen += [trashed.locator for trashed in page]
            after = page[-1].entry
            await store.purge(page[1:])
        assert sorted(seen) == sorted(locators)
        assert len(await store.trash(older_than_s=0, limit=9)) == 4

    async def test_purging_twice_is_fine(self, store: BlobStore) -> None:
        """Absent entries are no error, and only what was named goes."""
        self._need_trash()
        first, second = await place(store, b"first"), await place(store, b"second")
        await store.remove([first, second])
        entries = await self._from(store, first)
        await store.purge(entries)
        await store.purge(entries)
        await store.purge([])
        found = await store.trash(older_than_s=0, limit=10)
        assert [trashed.locator for trashed in found] == [second]
        assert await store.restore(second) is True
        assert await read(store, second) == b"second"

    async def test_purging_does_not_touch_what_is_placed(self, store: BlobStore) -> None:
        """An entry listed before its blob came back by another upload purges the trash only."""
        self._need_trash()
        locator = await place(store, b"back")
        await store.remove([locator])
        entries = await self._from(store, locator)
        again = await place(store, b"back")
        await store.purge(entries)
        assert await read(store, again) == b"back"
        assert await store.trash(older_than_s=0, limit=10) == []

    async def test_the_same_locator_may_be_in_the_trash_twice(self, store: BlobStore) -> None:
        """Removed, placed and removed again: it can still be restored, and wholly purged."""
        self._need_trash()
        locator = await place(store, b"twice")
        await store.remove([locator])
        await store.remove([await place(store, b"twice")])
        assert await store.restore(locator) is True
        assert await read(store, locator) == b"twice"
        await store.remove([locator])
        while found := await store.trash(older_than_s=0, limit=1):
            await store.purge(found)
        assert await store.restore(locator) is False
