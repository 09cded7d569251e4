"""Large files past the page cache: the same bytes, whatever the filesystem makes of it."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ObjectId
from juststorage.errors import StorageFull, Unavailable
from juststorage.testing import make_content
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._writer import BLOCK_BYTES, WRITE_OUT_BYTES, Blocks

SIZES = [
    0,
    1,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    3 * BLOCK_BYTES,
    3 * BLOCK_BYTES + 4097,
]
PIECES = [1000_003, BLOCK_BYTES, 3 * BLOCK_BYTES + 7]


class NoDirect(FsOps):
    """A filesystem that knows no direct writes, as tmpfs once was."""

    def set_direct(self, fd: int, on: bool) -> None:
        if on:
            raise OSError(errno.EINVAL, "no direct writes")
        super().set_direct(fd, on)


class NoDirectWrite(FsOps):
    """A filesystem that takes the flag and refuses the write."""

    direct = False

    def set_direct(self, fd: int, on: bool) -> None:
        super().set_direct(fd, on)
        self.direct = on

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        if self.direct:
            raise OSError(errno.EINVAL, "not like this")
        return super().write(fd, data)


class Short(NoDirectWrite):
    """Direct writes that stop midway, at a multiple of no block."""

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        if self.direct:
            super().set_direct(fd, False)
            written = FsOps.write(self, fd, memoryview(data)[:12345])
            super().set_direct(fd, True)
            return written
        return FsOps.write(self, fd, memoryview(data)[:333_333])


def content(size: int) -> bytes:
    """Bytes without a period that a mixed-up block would hide behind."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


async def stored(store: Any, data: bytes, piece: int) -> str:
    """Upload in pieces; the locator."""
    async with await store.stage(ObjectId.new()) as staged:
        for start in range(0, len(data), piece):
            await staged.write(data[start : start + piece])
        await staged.finish()
        locator: str = await store.place(staged, make_content(data).content_hash)
    return locator


@pytest.mark.parametrize("ops", [FsOps, NoDirect, NoDirectWrite, Short])
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("size", SIZES)
async def test_every_size_on_every_filesystem(
    tmp_path: Path, opened: Any, size: int, piece: int, ops: type[FsOps]
) -> None:
    """What was written is what is read, to the byte."""
    data = content(size)
    async with opened(tmp_path, ops=ops()) as store:
        locator = await stored(store, data, piece)
    assert (tmp_path / locator).read_bytes() == data


@pytest.mark.parametrize("direct_io", [True, False])
async def test_the_option(tmp_path: Path, opened: Any, ops: Any, direct_io: bool) -> None:
    """Off means that no write bypasses the page cache."""
    async with opened(tmp_path, ops=ops, direct_io=direct_io) as store:
        await stored(store, content(2 * BLOCK_BYTES), BLOCK_BYTES)
    assert ("set_direct" in [call for call, _ in ops.log]) is direct_io


async def test_small_files_stay_in_the_page_cache(tmp_path: Path, opened: Any, ops: Any) -> None:
    """They are read soon."""
    async with opened(tmp_path, ops=ops) as store:
        await stored(store, content(BLOCK_BYTES - 1), BLOCK_BYTES)
    assert "set_direct" not in [call for call, _ in ops.log]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["set_direct", "write"])
async def test_every_failure_of_a_direct_upload(
    tmp_path: Path, opened: Any, open_files: Any, call: str, error: int
) -> None:
    """The n-th direct call fails, for every n: an error, nothing stored, nothing leaked."""

    class Failing(FsOps):
        left = -1

        def fail(self, name: str) -> None:
            if name == call and self.left >= 0:
                self.left -= 1
                if self.left < 0:
                    raise OSError(error, os.strerror(error))

        def set_direct(self, fd: int, on: bool) -> None:
            self.fail("set_direct")
            super().set_direct(fd, on)

        def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
            self.fail("write")
            return super().write(fd, data)

    data = content(2 * BLOCK_BYTES + 5)
    ops = Failing()
    async with opened(tmp_path, ops=ops) as store:
        files = open_files()
        for number in range(10):
            ops.left = number
            try:
                await stored(store, data, BLOCK_BYTES)
            except (StorageFull, Unavailable) as raised:
                assert isinstance(raised, StorageFull) is (error == errno.ENOSPC)  # noqa: PT017
            else:
                break
            assert open_files() == files
            assert await store.staged(older_than_s=0, limit=9) == []
            assert await store.scan(after=None, limit=9) == []
        assert number == (2 if call == "set_direct" else 3)


async def test_write_out_begins_early_without_direct_writes(
    tmp_path: Path, opened: Any, ops: Any
) -> None:
    """The disk begins while bytes still arrive, so that the last sync is short."""
    async with opened(tmp_path, ops=ops, direct_io=False) as store:
        await stored(store, content(3 * WRITE_OUT_BYTES), BLOCK_BYTES)
    assert [call for call, _ in ops.log].count("start_write_out") == 3


def test_buffers_are_kept_and_bounded() -> None:
    """A buffer is used again; what is too many goes back to the system."""
    blocks = Blocks()
    taken = [blocks.take() for _ in range(20)]
    for block in taken:
        blocks.give_back(block)
    assert sum(block.closed for block in taken) == 12
    assert blocks.take() in taken


async def test_memory_does_not_grow_with_the_file(tmp_path: Path, opened: Any) -> None:
    """One buffer, whatever the size."""
    piece = content(BLOCK_BYTES)
    async with opened(tmp_path) as store, await store.stage(ObjectId.new()) as staged:
        await staged.write(piece)
        tracemalloc.start()
        try:
            for _ in range(20):
                await staged.write(piece)
            assert tracemalloc.get_traced_memory()[1] < BLOCK_BYTES // 4
        finally:
            tracemalloc.stop()
