"""Writing: what is visible when, and what a failure or a cancellation leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from juststorage.domain import Locator, ObjectId
from juststorage.errors import NotFound
from juststorage.ports import BlobStore
from juststorage.testing.contracts._blob_base import (
    BlobTests,
    hash_of,
    pattern,
    place,
    put,
    read,
    scan_all,
)

__all__ = ["BlobWriting"]


class _Stop(Exception):
    """A failure of the test's own making."""


async def _cancel_after(turns: int, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Cancel `run` after it had that many turns of the event loop."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(turns):
            await checkpoint()
        tasks.cancel_scope.cancel()


class BlobWriting(BlobTests):
    """Failures first."""

    async def test_a_failing_source_leaves_nothing(self, store: BlobStore) -> None:
        """An error between two writes discards what was staged."""

        async def fail_midway() -> None:
            async with await store.stage(ObjectId.new()) as staged:
                await staged.write(b"half of ")
                raise _Stop

        with pytest.raises(_Stop):
            await fail_midway()
        assert await scan_all(store) == []
        assert await store.staged(older_than_s=0, limit=10) == []

    async def test_leaving_without_placing_discards(self, store: BlobStore) -> None:
        """Finished bytes that nobody placed are discarded."""
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(b"never placed")
            await staged.finish()
        assert await scan_all(store) == []
        assert await store.staged(older_than_s=0, limit=10) == []

    async def test_closing_twice_is_fine(self, store: BlobStore) -> None:
        """`StagedBlob.aclose` is idempotent, before and after placing."""
        staged = await store.stage(ObjectId.new())
        await staged.write(b"gone")
        await staged.aclose()
        await staged.aclose()
        kept = await store.stage(ObjectId.new())
        await kept.write(b"kept")
        await kept.finish()
        locator = await store.place(kept, hash_of(b"kept"))
        await kept.aclose()
        await kept.aclose()
        assert await read(store, locator) == b"kept"

    async def test_nothing_is_visible_before_place(self, store: BlobStore) -> None:
        """Staged and finished bytes are at no locator."""
        data = b"not yet"
        locator = await place(store, data) if self.can.fixed_names else None
        if locator is not None:
            assert not await store.remove([locator])
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(data)
            await staged.finish()
            assert await scan_all(store) == []
            if locator is not None:
                assert await store.stat(locator) is None
                with pytest.raises(NotFound):
                    await store.open(locator)

    async def test_size_counts_what_was_written(self, store: BlobStore) -> None:
        """`size_bytes` follows every write, an empty one included."""
        async with await store.stage(ObjectId.new()) as staged:
            assert staged.size_bytes == 0
            await staged.write(b"abc")
            await staged.write(b"")
            assert staged.size_bytes == 3
            await staged.write(memoryview(b"defg"))
            assert staged.size_bytes == 7

    async def test_parts_are_written_in_their_order(self, store: BlobStore) -> None:
        """`write_parts` is `write` of the parts joined: of one, of many, and of an empty one."""
        data = pattern(3_000_000)
        parts = [data[:1], b"", data[1:2_500_000], data[2_500_000:]]
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write_parts(parts[:1])
            await staged.write_parts(parts[1:])
            assert staged.size_bytes == len(data)
            await staged.finish()
            locator = await store.place(staged, hash_of(data))
        assert await read(store, locator) == data

    async def test_a_placed_blob_reads_back(self, store: BlobStore) -> None:
        """What was placed is at the locator, once, and nothing stays staged."""
        locator = await place(store, b"hello")
        assert await read(store, locator) == b"hello"
        assert await store.stat(locator) == 5
        assert [blob.locator for blob in await scan_all(store)] == [locator]
        assert await store.staged(older_than_s=0, limit=10) == []

    async def test_put_reads_back(self, store: BlobStore) -> None:
        """`put` does in one call what stage, write, finish and place do."""
        locator = await put(store, b"hello")
        assert await read(store, locator) == b"hello"
        assert await store.stat(locator) == 5
        assert await store.staged(older_than_s=0, limit=10) == []

    @pytest.mark.parametrize("by", [place, put], ids=["place", "put"])
    async def test_an_empty_blob(
        self, store: BlobStore, by: Callable[[BlobStore, bytes], Awaitable[Locator]]
    ) -> None:
        """Nothing is content too."""
        locator = await by(store, b"")
        assert await store.stat(locator) == 0
        assert await read(store, locator) == b""

    async def test_no_write_at_all_is_empty(self, store: BlobStore) -> None:
        """A blob may be finished without a single write."""
        async with await store.stage(ObjectId.new()) as staged:
            await staged.finish()
            locator = await store.place(staged, hash_of(b""))
        assert await store.stat(locator) == 0

    async def test_a_big_blob_in_odd_pieces(self, store: BlobStore) -> None:
        """Several MiB in pieces of every kind, from one buffer that is used again and again."""
        data = pattern(5 * 1024 * 1024 + 13)
        sizes = [1, 4093, 65_537, 262_144, 1_048_579]
        buffer = bytearray(max(sizes))
        async with await store.stage(ObjectId.new()) as staged:
            at, turn = 0, 0
            while at < len(data):
                piece = data[at : at + sizes[turn % len(sizes)]]
                buffer[: len(piece)] = piece
                view = memoryview(buffer)[: len(piece)]
                kinds = (view, bytearray(view), bytes(view))
                await staged.write(kinds[turn % len(kinds)])
                view.release()
                buffer[:] = bytes(len(buffer))
                at, turn = at + len(piece), turn + 1
            await staged.finish()
            assert staged.size_bytes == len(data)
            locator = await store.place(staged, hash_of(data))
        assert await store.stat(locator) == len(data)
        assert await read(store, locator) == data

    async def test_placing_over_what_is_there(self, store: BlobStore) -> None:
        """Equal bytes placed again replace the first; with generations both are there."""
        data = pattern(100_000)
        first, second = await place(store, data), await place(store, data)
        assert await read(store, first) == data
        assert await read(store, second) == data
        assert (first == second) is self.can.fixed_names
        assert len(await scan_all(store)) == len({first, second})

    async def test_where_bytes_would_be(self, store: BlobStore) -> None:
        """Fixed names are known without looking, placed or not; generations never are."""
        locator = await place(store, b"known")
        await store.remove([await put(store, b"removed")])
        if self.can.fixed_names:
            assert store.locator_of(hash_of(b"known")) == locator
            expected = store.locator_of(hash_of(b"later"))
            assert expected is not None and await store.stat(expected) is None
            assert await put(store, b"later") == expected
        else:
            assert store.locator_of(hash_of(b"known")) is None

    async def test_placing_equal_bytes_at_once(self, store: BlobStore) -> None:
        """Uploads of one content at the same time all succeed."""
        data = pattern(50_000)
        locators: list[Locator] = []

        async def upload(by: Callable[[BlobStore, bytes], Awaitable[Locator]]) -> None:
            locators.append(await by(store, data))

        async with anyio.create_task_group() as tasks:
            for turn in range(10):
                tasks.start_soon(upload, place if turn % 2 else put)
        assert len(locators) == 10
        assert len(set(locators)) == (1 if self.can.fixed_names else 10)
        for locator in locators:
            assert await read(store, locator) == data

    async def test_many_at_once(self, store: BlobStore) -> None:
        """Puts and places of different contents do not mix up bytes."""
        contents = [pattern(1 + turn * 997, seed=turn) for turn in range(40)]
        locators: dict[int, Locator] = {}

        async def upload(turn: int) -> None:
            by = place if turn % 3 else put
            locators[turn] = await by(store, contents[turn])

        async with anyio.create_task_group() as tasks:
            for turn in range(len(contents)):
                tasks.start_soon(upload, turn)
        assert len(set(locators.values())) == len(contents)
        for turn, locator in locators.items():
            assert await read(store, locator) == contents[turn]

    @pytest.mark.parametrize("by", [place, put], ids=["place", "put"])
    @pytest.mark.parametrize("turns", [*range(12), 20, 40, 80])
    async def test_cancelled_anywhere(
        self,
        store: BlobStore,
        turns: int,
        by: Callable[[BlobStore, bytes], Awaitable[Locator]],
    ) -> None:
        """A cancelled upload leaves a whole blob, a staged entry, or nothing."""
        data = pattern(300_000)

        async def upload() -> None:
            await by(store, data)

        await _cancel_after(turns, upload)
        for blob in await scan_all(store):
            assert await read(store, blob.locator) == data
        left = await store.staged(older_than_s=0, limit=10)
        assert len(left) <= 1
        await store.discard(left)
        assert await store.staged(older_than_s=0, limit=10) == []
        assert await read(store, await by(store, data)) == data

    async def test_cancelled_among_others(self, store: BlobStore) -> None:
        """Cancelling one upload of a content does not hurt the others of it."""
        data = pattern(200_000)
        locators: list[Locator] = []

        async def upload() -> None:
            locators.append(await place(store, data))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await _cancel_after(3, upload)
            tasks.start_soon(upload)
        assert len(locators) >= 2
        assert await read(store, locators[0]) == data
