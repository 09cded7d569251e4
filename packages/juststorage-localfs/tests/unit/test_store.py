"""The store as a whole: large uploads, neighbours, health."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import ObjectId
from juststorage.errors import StorageFull, Unavailable
from juststorage.ports import Space
from juststorage.testing import make_content
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._staged import ROOM_CHECK_BYTES
from juststorage_localfs._writer import WRITE_OUT_BYTES

MIB = 1024 * 1024


async def test_a_volume_that_fills_up_during_an_upload(tmp_path: Path, opened: Any) -> None:
    """The reserve is kept while a large upload runs, and the upload leaves nothing."""

    class Filling(FsOps):
        full = False

        def statvfs(self, fd: int) -> Any:
            facts = list(super().statvfs(fd))
            if self.full:
                facts[4] = 0
            return os.statvfs_result(facts)

    ops = Filling()
    async with opened(tmp_path, ops=ops) as store:
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(b"x" * MIB)
            ops.full = True
            with pytest.raises(StorageFull):
                await staged.write(bytes(ROOM_CHECK_BYTES))
        ops.full = False
        assert await store.staged(older_than_s=0, limit=9) == []
        space = await store.space()
        assert space is not None
        assert 0 < space.free_bytes < space.total_bytes


async def test_the_reserve_counts_as_taken(tmp_path: Path, opened: Any) -> None:
    """Free is what uploads may use: an early refusal and a later one agree on how much that is."""

    class Fixed(FsOps):
        def statvfs(self, fd: int) -> Any:
            facts = list(super().statvfs(fd))
            facts[1], facts[2], facts[4] = 4096, 1000, 100  # frsize, blocks, bavail
            return os.statvfs_result(facts)

    for reserve, free in ((0, 100 * 4096), (40 * 4096, 60 * 4096), (101 * 4096, 0)):
        async with opened(tmp_path, ops=Fixed(), reserve_bytes=reserve) as store:
            assert await store.space() == Space(total_bytes=1000 * 4096, free_bytes=free)


async def test_write_out_is_only_a_hint(tmp_path: Path, opened: Any) -> None:
    """A system that cannot begin early stores the same bytes."""

    class Unable(FsOps):
        def start_write_out(self, fd: int) -> None:
            raise OSError(errno.ENOSYS, "no such call")

    async with opened(tmp_path, ops=Unable(), direct_io=False) as store:
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(bytes(WRITE_OUT_BYTES))
            await staged.finish()
            content_hash = make_content(bytes(WRITE_OUT_BYTES)).content_hash
            locator = await store.place(staged, content_hash)
        assert await store.stat(locator) == WRITE_OUT_BYTES


async def test_a_put_that_is_given_up_before_its_turn(
    tmp_path: Path, opened: Any, ops: Any
) -> None:
    """While it waits for a batch, cancelling a put costs nothing and stores nothing."""
    async with opened(tmp_path, ops=ops, threads=1) as store:
        first, second = make_content(b"first").content_hash, make_content(b"second").content_hash
        ops.block_at(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.put, ObjectId.new(), first, b"first")
            await ops.reached.wait()
            with anyio.move_on_after(0):
                await store.put(ObjectId.new(), second, b"second")
            ops.release()
        blobs = await store.scan(after=None, limit=9)
        assert [blob.content_hash for blob in blobs] == [first]


async def test_put_against_remove(tmp_path: Path, opened: Any, ops: Any) -> None:
    """Stopped at any call of a put, a removal of the same blob leaves it whole or in the trash."""
    data = b"both at once"
    content_hash = make_content(data).content_hash
    for number in range(1, 60):
        async with opened(tmp_path / str(number), ops=ops) as store:
            locator = await store.put(ObjectId.new(), content_hash, data)
            ops.block_at(number)
            over = anyio.Event()

            async def again(store: Any = store, over: anyio.Event = over) -> None:
                await store.put(ObjectId.new(), content_hash, data)
                over.set()
                ops.reached.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(again)
                await ops.reached.wait()
                if over.is_set():
                    ops.disarm()
                    return
                assert await store.remove([locator]) == {}
                there = await store.stat(locator)
                ops.release()
            if there is None and await store.stat(locator) is None:
                assert await store.restore(locator)
            assert (tmp_path / str(number) / locator).read_bytes() == data
    raise AssertionError("a put has fewer calls")


async def test_ping_does_not_pile_up(tmp_path: Path, opened: Any, ops: Any) -> None:
    """A disk that hangs takes one thread, not one more with every question."""
    async with opened(tmp_path, ops=ops) as store:
        ops.block_at(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.ping)
            await ops.reached.wait()
            with pytest.raises(Unavailable, match="not answered"):
                await store.ping()
            ops.release()
        await store.ping()
        assert not (tmp_path / ".staging" / ".ping").exists()


async def test_ping_finds_what_cannot_be_written(tmp_path: Path, opened: Any, ops: Any) -> None:
    """Any failing call of the probe fails it, and the next one is fine."""
    async with opened(tmp_path, ops=ops) as store:
        for number in range(1, 6):
            ops.fail_at(number, errno.EROFS)
            with pytest.raises(Unavailable, match="read-only"):
                await store.ping()
            await store.ping()


async def test_ping_compares_what_it_reads(tmp_path: Path, opened: Any) -> None:
    """A disk that gives back other bytes is not ready."""

    class Lying(FsOps):
        lying = False

        def pread(self, fd: int, length: int, start: int) -> bytes:
            got = super().pread(fd, length, start)
            return got[::-1] if self.lying else got

    ops = Lying()
    async with opened(tmp_path, ops=ops) as store:
        ops.lying = True
        with pytest.raises(Unavailable, match="give back"):
            await store.ping()
