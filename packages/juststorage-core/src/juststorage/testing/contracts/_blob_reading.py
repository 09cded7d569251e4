"""Reading: ranges, readers that outlive their blob, walks, and locators from nowhere."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from juststorage.domain import Locator, ObjectId
from juststorage.errors import Invalid, NotFound
from juststorage.ports import BlobReader, BlobStore
from juststorage.testing.contracts._base import may_refuse
from juststorage.testing.contracts._blob_base import (
    BlobTests,
    hash_of,
    pattern,
    place,
    put,
    read,
    scan_all,
)

__all__ = ["BlobReading"]

_HOSTILE = (
    "",
    ".",
    "..",
    "/",
    "../x",
    "/etc/passwd",
    "../../../../../../etc/passwd",
    "a/../../b",
    "a\x00b",
    "\ud800",
    "x" * 5000,
)


async def _part(reader: BlobReader, start: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in reader.chunks(start, length)])


async def _identity(reader: BlobReader) -> str:
    """Its identity, once the store can tell: a clock of files may have to move on first."""
    with anyio.fail_after(10):
        while (identity := reader.identity()) is None:  # noqa: ASYNC110  of a clock nobody hears
            await anyio.sleep(0.02)
    return identity


def _damage(reader: BlobReader) -> None:
    """Flip a bit, and take care to leave the times as they were."""
    assert reader.local_path is not None
    path = Path(reader.local_path)
    facts = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


class BlobReading(BlobTests):
    """Failures first."""

    async def test_opening_what_is_absent(self, store: BlobStore) -> None:
        """There is nothing at a locator whose blob was removed."""
        locator = await place(store, b"short-lived")
        await store.remove([locator])
        assert await store.stat(locator) is None
        with pytest.raises(NotFound):
            await store.open(locator)

    @pytest.mark.parametrize("locator", _HOSTILE, ids=ascii)
    async def test_a_hostile_locator_reads_nothing(
        self, store: BlobStore, locator: Locator
    ) -> None:
        """A locator that this store did not make is absent or refused, never followed."""
        kept = await place(store, b"kept")
        with pytest.raises((NotFound, Invalid)):
            await store.open(locator)
        try:
            assert await store.stat(locator) is None
            assert not await store.remove([locator])
        except Invalid:
            pass
        assert await read(store, kept) == b"kept"

    async def test_a_locator_does_not_lead_out(
        self, store: BlobStore, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A file elsewhere, named by its path, is neither read nor removed."""
        outside = tmp_path_factory.mktemp("elsewhere") / "outside"
        outside.write_bytes(b"private")
        locator = await place(store, b"x")
        steps = "../" * 40
        for name in (str(outside), f"{locator}/{steps}{outside}", f"{steps}{outside}"):
            with pytest.raises((NotFound, Invalid)):
                await store.open(name)
            try:
                await store.remove([name])
            except Invalid:
                continue
        assert outside.read_bytes() == b"private"

    async def test_a_reader_outlives_its_blob(self, store: BlobStore) -> None:
        """What is open reads to its end, bit-identical, although the blob is removed meanwhile."""
        if not self.can.stable_readers:
            pytest.skip("the backend declares no stable readers")
        data = pattern(400_000)
        locator = await place(store, data)
        async with await store.open(locator) as reader:
            assert not await store.remove([locator])
            if self.can.trash:
                await store.purge(await store.trash(older_than_s=0, limit=10))
            assert await _part(reader, 0, len(data)) == data
            assert await _part(reader, 7, 100_001) == data[7:100_008]

    async def test_a_reader_whose_blob_is_removed(self, store: BlobStore) -> None:
        """Capable or not, it gives the blob's bytes, and never ends early without an error."""
        data = pattern(2_000_000)
        locator = await place(store, data)
        got = b""
        async with await store.open(locator) as reader:
            assert not await store.remove([locator])
            with may_refuse():
                async for chunk in reader.chunks(0, len(data)):
                    got += chunk
                assert len(got) == len(data)
        assert data.startswith(got)

    async def test_a_reader_outlives_a_replacement(self, store: BlobStore) -> None:
        """Placing equal bytes again does not disturb who is reading."""
        data = pattern(400_000)
        locator = await place(store, data)
        async with await store.open(locator) as reader:
            chunks = reader.chunks(0, len(data))
            got = await anext(chunks)
            await place(store, data)
            got += b"".join([chunk async for chunk in chunks])
            assert got == data

    async def test_a_reader_closed_early(self, store: BlobStore) -> None:
        """Leaving in the middle is fine, and so is closing twice."""
        data = pattern(400_000)
        reader = await store.open(await place(store, data))
        chunks = reader.chunks(0, len(data))
        assert data.startswith(await anext(chunks))
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
        await reader.aclose()
        await reader.aclose()

    @pytest.mark.parametrize("size", [0, 1, 2, 65_536, 200_001])
    async def test_ranges(self, store: BlobStore, size: int) -> None:
        """Every range has exactly its bytes, at every edge."""
        data = pattern(size)
        locator = await place(store, data)
        edges = sorted({0, 1, size // 2, 65_535, 65_536, 65_537, size - 1, size})
        edges = [edge for edge in edges if 0 <= edge <= size]
        async with await store.open(locator) as reader:
            assert reader.size_bytes == size
            for start in edges:
                for end in (edge for edge in edges if edge >= start):
                    assert await _part(reader, start, end - start) == data[start:end]

    async def test_read_now(self, store: BlobStore) -> None:
        """Where it is declared it answers exactly or not at all; elsewhere never."""
        data = pattern(100_000)
        async with await store.open(await put(store, data)) as reader:
            for start, length in ((0, 0), (0, len(data)), (5, 1), (len(data), 0), (777, 65_536)):
                now = reader.read_now(start, length)
                assert now is None or now == data[start : start + length]
                assert now is None or self.can.read_now

    async def test_local_path(self, store: BlobStore) -> None:
        """Where it is declared it is a file with exactly these bytes; elsewhere None."""
        data = pattern(100_000)
        async with await store.open(await place(store, data)) as reader:
            if self.can.local_path:
                assert reader.local_path is not None
                assert await anyio.Path(reader.local_path).read_bytes() == data
            else:
                assert reader.local_path is None

    @pytest.fixture
    def damage(self) -> Callable[[BlobReader], None] | None:
        """What changes a byte of an open reader's blob in place, behind the store's back.

        For authors whose readers have an identity and no `local_path`; that one is used otherwise.
        """
        return None

    async def test_an_identity_changes_with_the_bytes(
        self, store: BlobStore, damage: Callable[[BlobReader], None] | None
    ) -> None:
        """Where it is declared it stays as long as the bytes do; elsewhere there is none."""
        data = pattern(100_000)
        locator = await place(store, data)
        async with await store.open(locator) as one, await store.open(locator) as other:
            if not self.can.identity:
                assert one.identity() is None and not one.from_memory
                return
            assert await _identity(one) == await _identity(other)
            for reader in (one, other):
                known = reader.identity()
                assert await _part(reader, 0, len(data)) == data
                assert reader.identity() == known
            if damage is None and one.local_path is None:
                return
            await to_thread.run_sync(damage or _damage, one)
            assert await _identity(one) != known, "the bytes were changed under the same identity"
        async with await store.open(locator) as later:
            assert await _identity(later) != known

    async def test_many_readers_at_once(self, store: BlobStore) -> None:
        """Readers of one blob do not share a position."""
        data = pattern(300_000)
        locator = await place(store, data)

        async def check(start: int) -> None:
            async with await store.open(locator) as reader:
                assert await _part(reader, start, len(data) - start) == data[start:]

        async with anyio.create_task_group() as tasks:
            for start in range(0, 300_000, 30_001):
                tasks.start_soon(check, start)

    @pytest.mark.parametrize("step", [1, 3, 7, 1000])
    async def test_a_walk_is_complete_and_ordered(self, store: BlobStore, step: int) -> None:
        """Every blob is seen once, by ascending locator, wherever the pages end."""
        contents = [pattern(10 + turn, seed=turn) for turn in range(15)]
        locators = {await put(store, data): data for data in contents}
        found = await scan_all(store, step=step)
        assert [blob.locator for blob in found] == sorted(locators)
        for blob in found:
            data = locators[blob.locator]
            assert blob.size_bytes == len(data)
            assert blob.content_hash in (None, hash_of(data))
        assert await store.scan(after=found[-1].locator, limit=step) == []

    async def test_a_walk_goes_on_behind_what_was_removed(self, store: BlobStore) -> None:
        """The position need not exist any more."""
        locators = sorted([await put(store, pattern(9, seed=turn)) for turn in range(6)])
        first = await store.scan(after=None, limit=2)
        await store.remove([first[-1].locator])
        rest = await store.scan(after=first[-1].locator, limit=100)
        assert [blob.locator for blob in rest] == locators[2:]

    async def test_a_walk_sees_no_staging_and_no_trash(self, store: BlobStore) -> None:
        """Only what is placed is listed."""
        kept, removed = await place(store, b"kept"), await place(store, b"removed")
        await store.remove([removed])
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(b"staged")
            assert [blob.locator for blob in await scan_all(store)] == [kept]
