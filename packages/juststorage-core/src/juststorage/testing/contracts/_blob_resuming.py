"""Uploads whose bytes come in several requests: what is kept of them, and who may add to it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from juststorage.domain import ObjectId
from juststorage.errors import NotFound, UnsupportedOperation, UploadInUse
from juststorage.ports import BlobStore
from juststorage.testing.contracts._base import may_refuse
from juststorage.testing.contracts._blob_base import BlobTests, hash_of, pattern, read, scan_all

__all__ = ["BlobResuming"]

_PART_BYTES = 100_003
"""No whole number of anything that a disk counts in."""


async def keep(store: BlobStore, upload_id: ObjectId, data: bytes) -> None:
    """Add bytes, and keep them."""
    async with await store.resume(upload_id) as resumed:
        await resumed.write(data)
        await resumed.keep()


async def begun(store: BlobStore) -> ObjectId:
    """A fresh upload."""
    upload_id = ObjectId.new()
    await store.begin_resumable(upload_id)
    return upload_id


class BlobResuming(BlobTests):
    """The capability `resumable`."""

    def _need_resuming(self) -> None:
        if not self.can.resumable:
            pytest.skip("the capability `resumable` is not declared")

    async def test_without_the_capability_it_is_refused(self, store: BlobStore) -> None:
        """Each of the four methods, so that whoever asks can send the content as a whole."""
        if self.can.resumable:
            pytest.skip("the capability `resumable` is declared")
        for method in (
            store.begin_resumable,
            store.resume,
            store.resumable_bytes,
            store.discard_resumable,
        ):
            with pytest.raises(UnsupportedOperation):
                await method(ObjectId.new())

    async def test_what_was_never_begun(self, store: BlobStore) -> None:
        """There is nothing, to ask about, to open, or to delete."""
        self._need_resuming()
        upload_id = ObjectId.new()
        assert await store.resumable_bytes(upload_id) is None
        with pytest.raises(NotFound):
            await store.resume(upload_id)
        await store.discard_resumable(upload_id)

    async def test_parts_become_one_blob(self, store: BlobStore) -> None:
        """Each goes on where the one before it ended, and what is placed is all of them."""
        self._need_resuming()
        data = pattern(3 * _PART_BYTES)
        upload_id = await begun(store)
        assert await store.resumable_bytes(upload_id) == 0
        for start in range(0, len(data), _PART_BYTES):
            async with await store.resume(upload_id) as resumed:
                assert resumed.size_bytes == start
                assert resumed.placed_as is None
                half = start + _PART_BYTES // 2
                await resumed.write(data[start:half])
                await resumed.write(data[half : start + _PART_BYTES])
                await resumed.keep()
                assert await store.resumable_bytes(upload_id) == start + _PART_BYTES
        async with await store.resume(upload_id) as resumed:
            assert await resumed.read(0, len(data)) == data
            assert await resumed.read(_PART_BYTES - 5, 10) == data[_PART_BYTES - 5 :][:10]
            await resumed.finish()
            locator = await store.place(resumed, hash_of(data))
        assert await read(store, locator) == data
        await store.discard_resumable(upload_id)
        assert await read(store, locator) == data
        assert await store.staged(older_than_s=0, limit=10) == []

    async def test_an_empty_one(self, store: BlobStore) -> None:
        """A content without a byte is one, too."""
        self._need_resuming()
        upload_id = await begun(store)
        async with await store.resume(upload_id) as resumed:
            await resumed.finish()
            locator = await store.place(resumed, hash_of(b""))
        assert await read(store, locator) == b""

    async def test_what_was_not_kept_is_not_counted(self, store: BlobStore) -> None:
        """Whoever goes on finds as many bytes as they were told that there are, and no others."""
        self._need_resuming()
        data = pattern(3 * _PART_BYTES)
        upload_id = await begun(store)
        await keep(store, upload_id, data[:_PART_BYTES])
        async with await store.resume(upload_id) as resumed:
            await resumed.write(pattern(_PART_BYTES, seed=9))
        kept_bytes = await store.resumable_bytes(upload_id)
        assert kept_bytes is not None
        assert _PART_BYTES <= kept_bytes <= 2 * _PART_BYTES
        expected = data[:_PART_BYTES] + pattern(_PART_BYTES, seed=9)
        async with await store.resume(upload_id) as resumed:
            assert resumed.size_bytes == kept_bytes
            assert await resumed.read(0, kept_bytes) == expected[:kept_bytes]
            await resumed.write(b"on from here")
            await resumed.keep()
            size = kept_bytes + len(b"on from here")
            assert await resumed.read(0, size) == expected[:kept_bytes] + b"on from here"

    async def test_keeping_may_be_repeated(self, store: BlobStore) -> None:
        """With nothing new, and with more behind it."""
        self._need_resuming()
        upload_id = await begun(store)
        async with await store.resume(upload_id) as resumed:
            await resumed.keep()
            for turn in range(3):
                await resumed.write(b"%d" % turn)
                await resumed.keep()
                await resumed.keep()
                assert await store.resumable_bytes(upload_id) == turn + 1
            assert await resumed.read(0, 3) == b"012"

    async def test_one_at_a_time(self, store: BlobStore) -> None:
        """While it is open nobody else can open it; afterwards they can."""
        self._need_resuming()
        upload_id, other = await begun(store), await begun(store)
        async with await store.resume(upload_id) as resumed:
            with pytest.raises(UploadInUse) as refused:
                await store.resume(upload_id)
            assert refused.value.fields["retry_after_s"] > 0
            await keep(store, other, b"another upload")
            await resumed.write(b"mine")
            await resumed.keep()
        await keep(store, upload_id, b", and mine again")
        async with await store.resume(upload_id) as resumed:
            assert await resumed.read(0, 20) == b"mine, and mine again"

    async def test_placed_before(self, store: BlobStore) -> None:
        """An attempt whose outcome nobody heard of can be made again, as often as it takes."""
        self._need_resuming()
        data = pattern(_PART_BYTES)
        upload_id = await begun(store)
        await keep(store, upload_id, data)
        async with await store.resume(upload_id) as resumed:
            await resumed.finish()
            first = await store.place(resumed, hash_of(data))
        for _ in range(2):
            assert await store.resumable_bytes(upload_id) == len(data)
            async with await store.resume(upload_id) as resumed:
                assert resumed.size_bytes == len(data)
                assert resumed.placed_as == hash_of(data)
                await resumed.finish()
                again = await store.place(resumed, hash_of(data))
            assert await read(store, again) == data
        if self.can.fixed_names:
            assert again == first

    async def test_placed_and_removed_since(self, store: BlobStore) -> None:
        """Its bytes are there until it is discarded, and are placed again.

        Until the commit nobody may count on what was placed: a database that crashes may have lost
        the reservation, and a collector has then taken what nothing refers to.
        """
        self._need_resuming()
        data = pattern(_PART_BYTES)
        upload_id = await begun(store)
        await keep(store, upload_id, data)
        async with await store.resume(upload_id) as resumed:
            await resumed.finish()
            locator = await store.place(resumed, hash_of(data))
            # Even while it is open.
            assert await store.remove([locator]) == {}
            assert await read(store, await store.place(resumed, hash_of(data))) == data
        for _ in range(2):
            assert await store.remove([found.locator for found in await scan_all(store)]) == {}
            assert await store.resumable_bytes(upload_id) == len(data)
            async with await store.resume(upload_id) as resumed:
                await resumed.finish()
                locator = await store.place(resumed, hash_of(data))
            assert await read(store, locator) == data
        entries = {entry.upload_id for entry in await store.staged(older_than_s=0, limit=10)}
        assert entries == {upload_id}
        await store.discard_resumable(upload_id)
        assert await store.staged(older_than_s=0, limit=10) == []
        assert await read(store, locator) == data

    async def test_nothing_is_written_behind_what_was_placed(self, store: BlobStore) -> None:
        """The bytes are those of a blob now."""
        self._need_resuming()
        data = pattern(_PART_BYTES)
        upload_id = await begun(store)
        await keep(store, upload_id, data)
        async with await store.resume(upload_id) as resumed:
            await resumed.finish()
            locator = await store.place(resumed, hash_of(data))
        async with await store.resume(upload_id) as resumed:
            with may_refuse():
                await resumed.write(b"more")
                await resumed.keep()
        assert await read(store, locator) == data

    async def test_the_sweeper_sees_it(self, store: BlobStore) -> None:
        """It is listed under its upload from the beginning on, and `discard` ends it."""
        self._need_resuming()
        upload_id = await begun(store)
        listed = await store.staged(older_than_s=0, limit=10)
        assert {entry.upload_id for entry in listed} == {upload_id}
        await keep(store, upload_id, b"kept")
        await store.discard(await store.staged(older_than_s=0, limit=10))
        assert await store.staged(older_than_s=0, limit=10) == []
        assert await store.resumable_bytes(upload_id) is None
        with pytest.raises(NotFound):
            await store.resume(upload_id)

    async def test_discarded_under_its_writer(self, store: BlobStore) -> None:
        """Whoever has it open fails, or goes on to no effect: nothing is placed."""
        self._need_resuming()
        upload_id = await begun(store)
        data = pattern(_PART_BYTES)
        async with await store.resume(upload_id) as resumed:
            await resumed.write(data)
            await store.discard_resumable(upload_id)
            placed = False
            with may_refuse():
                await resumed.keep()
                await resumed.finish()
                await store.place(resumed, hash_of(data))
                placed = True
            assert not placed
        assert await scan_all(store) == []
        assert await store.staged(older_than_s=0, limit=10) == []

    async def test_what_was_kept_survives_a_power_cut(
        self, options: msgspec.Struct, power_cut: Callable[[], None]
    ) -> None:
        """All of it and, of what was written behind it, nothing that is not told of."""
        self._need_resuming()
        data = pattern(3 * _PART_BYTES)
        async with self.opened(options) as store:
            upload_id = await begun(store)
            await keep(store, upload_id, data[:_PART_BYTES])
            async with await store.resume(upload_id) as resumed:
                await resumed.write(data[_PART_BYTES : 2 * _PART_BYTES])
                power_cut()
        async with self.opened(options) as store:
            kept_bytes = await store.resumable_bytes(upload_id)
            assert kept_bytes is not None, "the name was lost: sync the directory before returning"
            assert kept_bytes >= _PART_BYTES, "bytes were lost: sync them in `keep`"
            async with await store.resume(upload_id) as resumed:
                assert resumed.size_bytes == kept_bytes
                assert await resumed.read(0, kept_bytes) == data[:kept_bytes]
                await resumed.write(data[kept_bytes:])
                await resumed.finish()
                locator = await store.place(resumed, hash_of(data))
            assert await read(store, locator) == data
