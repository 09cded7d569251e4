"""Reading: at once, ahead, and to the end."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from juststorage.domain import ObjectId
from juststorage.errors import Corrupt, NotFound, Unavailable
from juststorage.testing import make_content
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._reader import PIECE_BYTES_MAX, PIECE_BYTES_MIN, READ_NOW_BYTES_MAX

DATA = bytes(range(251)) * (5 * PIECE_BYTES_MIN // 251)


class Cold(FsOps):
    """Nothing is ever in the page cache."""

    def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
        raise BlockingIOError(errno.EAGAIN, "not cached")


class Warm(FsOps):
    """Everything is always in the page cache, whatever the filesystem can tell."""

    def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
        return os.preadv(fd, [buffer], start)


async def put(store: Any, data: bytes = DATA) -> str:
    """Store bytes."""
    return str(await store.put(ObjectId.new(), make_content(data).content_hash, data))


async def read(reader: Any, start: int = 0, length: int = len(DATA)) -> bytes:
    """A part of a blob."""
    return b"".join([piece async for piece in reader.chunks(start, length)])


class Stuck(Cold):
    """A disk that gives no bytes back until it is let."""

    def __init__(self) -> None:
        self.reads = 0
        self.released = threading.Event()

    def pread(self, fd: int, length: int, start: int) -> bytes:
        if length >= PIECE_BYTES_MIN:  # of a body
            self.reads += 1
            assert self.released.wait(30)
        return super().pread(fd, length, start)


async def test_reads_that_wait_for_the_disk_hold_up_nobody_else(
    tmp_path: Path, opened: Any
) -> None:
    """As many as there are threads, and more: uploads, looks and removals go on."""
    ops = Stuck()
    async with opened(tmp_path, ops=ops, threads=2) as store:
        locator, doomed = await put(store), await put(store, b"doomed")
        async with anyio.create_task_group() as tasks:

            async def download() -> None:
                async with await store.open(locator) as reader:
                    assert await read(reader) == DATA

            for _ in range(5):
                tasks.start_soon(download)
            try:
                with anyio.fail_after(20):
                    while ops.reads < 2:  # noqa: ASYNC110 - threads count them
                        await anyio.sleep(0.01)
                    await put(store, b"others")
                    await store.ping()
                    await store.remove([doomed])
                    assert await store.stat(doomed) is None
            finally:
                ops.released.set()


@pytest.mark.parametrize("kind", [FsOps, Warm, Cold])
async def test_every_byte(tmp_path: Path, opened: Any, kind: type[FsOps]) -> None:
    """From the cache or from the disk, whole or in part, pieces have their limit."""
    async with opened(tmp_path, ops=kind()) as store, await store.open(await put(store)) as reader:
        assert await read(reader) == DATA
        assert await read(reader, 7, PIECE_BYTES_MIN) == DATA[7 : 7 + PIECE_BYTES_MIN]
        sizes = [len(piece) async for piece in reader.chunks(1, len(DATA) - 1)]
        assert max(sizes) == PIECE_BYTES_MIN


async def test_pieces_grow_with_what_is_taken(tmp_path: Path, opened: Any) -> None:
    """Who takes little is held little for; who takes much gets large pieces, to a limit."""
    data = bytes(48 * 2**20)
    async with opened(tmp_path) as store, await store.open(await put(store, data)) as reader:
        sizes = [len(piece) async for piece in reader.chunks(0, len(data))]
        assert sum(sizes) == len(data)
        assert sum(size == PIECE_BYTES_MIN for size in sizes) == 4 * 2**20 // PIECE_BYTES_MIN + 1
        assert sizes[:-1] == sorted(sizes[:-1])
        assert max(sizes) == PIECE_BYTES_MAX


async def test_read_now_is_all_or_nothing(tmp_path: Path, opened: Any) -> None:
    """Not cached, cached in part, or too large to copy: nothing, and never a short answer."""

    class Partly(Warm):
        def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
            return super().read_now(fd, buffer, start) - 1

    class Never(FsOps):
        can_read_now = False

    for kind in (Cold, Partly, Never):
        async with (
            opened(tmp_path, ops=kind()) as store,
            await store.open(await put(store)) as reader,
        ):
            assert reader.read_now(0, 4096) is None
    async with (
        opened(tmp_path, ops=Warm()) as store,
        await store.open(await put(store)) as reader,
    ):
        assert reader.read_now(0, 4096) == DATA[:4096]
        assert reader.read_now(3, 0) == b""
        assert reader.read_now(0, READ_NOW_BYTES_MAX + 1) is None
        assert reader.read_now(len(DATA) - 1, 2) is None


@pytest.mark.parametrize("kind", [FsOps, Warm, Cold])
async def test_an_early_end_is_corruption(tmp_path: Path, opened: Any, kind: type[FsOps]) -> None:
    """A file that is shorter than it was is an error, never a short iteration."""
    async with opened(tmp_path, ops=kind()) as store:
        locator = await put(store)
        async with await store.open(locator) as reader:
            os.truncate(tmp_path / locator, 2 * PIECE_BYTES_MIN + 10)
            with pytest.raises(Corrupt):
                await read(reader)
            assert reader.read_now(2 * PIECE_BYTES_MIN, 11) is None


async def test_the_next_piece_is_read_meanwhile(tmp_path: Path, opened: Any, ops: Any) -> None:
    """While a piece is with the caller, the disk works on the next one, and on no more."""
    ops.can_read_now = False
    async with opened(tmp_path, ops=ops) as store, await store.open(await put(store)) as reader:
        pieces = reader.chunks(0, len(DATA))
        ops.block_at(2)
        first = await anext(pieces)
        await ops.reached.wait()
        assert first == DATA[:PIECE_BYTES_MIN]
        assert [call for call, _ in ops.log] == ["pread", "pread"]
        ops.release()
        rest = b"".join([piece async for piece in pieces])
        assert first + rest == DATA


async def test_closing_while_a_thread_reads(
    tmp_path: Path, opened: Any, ops: Any, open_files: Any
) -> None:
    """The descriptor stays open until the thread is done with it: its number is not reused."""
    ops.can_read_now = False
    async with opened(tmp_path, ops=ops) as store:
        locator = await put(store)
        before = open_files()
        reader = await store.open(locator)
        during = open_files()
        assert during != before
        pieces = reader.chunks(0, len(DATA))
        ops.block_at(2)
        await anext(pieces)
        await ops.reached.wait()
        await reader.aclose()
        await reader.aclose()
        assert open_files() == during
        ops.release()
        await pieces.aclose()
    assert open_files().isdisjoint(during - before)


async def test_a_cancelled_read(tmp_path: Path, opened: Any, ops: Any, open_files: Any) -> None:
    """Cancelling a download in the middle of a slow read leaves nothing open."""
    ops.can_read_now = False
    async with opened(tmp_path, ops=ops) as store:
        locator = await put(store)
        before = open_files()
        ops.block_at(3)  # open, fstat, pread

        async def download() -> None:
            async with await store.open(locator) as reader:
                await read(reader)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(download)
            await ops.reached.wait()
            tasks.cancel_scope.cancel()
        ops.release()
    # Closing the store has waited for the thread that read.
    assert open_files() <= before


async def test_a_failing_disk(tmp_path: Path, opened: Any, ops: Any) -> None:
    """An error of the disk is told as such, from the first byte or midway."""
    ops.can_read_now = False
    async with opened(tmp_path, ops=ops) as store, await store.open(await put(store)) as reader:
        for number in (1, 3):
            ops.fail_at(number, errno.EIO)
            with pytest.raises(Corrupt):
                await read(reader)
        assert await read(reader) == DATA


async def test_what_cannot_be_opened(tmp_path: Path, opened: Any, open_files: Any) -> None:
    """Absent, hidden by something that is no file, or out of descriptors: each its own error."""
    async with opened(tmp_path) as store:
        locator = await put(store)
        before = open_files()
        with pytest.raises(NotFound):
            await store.open(locator.replace(locator[:2], "00", 1))
        with pytest.raises(NotFound):
            await store.open("ab/cd/abcd" + "0" * 60)
        path = tmp_path / locator
        path.unlink()
        path.mkdir()
        assert await store.stat(locator) is None
        with pytest.raises(Corrupt):
            await store.open(locator)
        path.rmdir()
        os.mkfifo(path)
        with pytest.raises(Corrupt):
            await store.open(locator)
        path.unlink()
        path.symlink_to("/etc/passwd")
        with pytest.raises(Unavailable):
            await store.open(locator)
        assert open_files() == before


@pytest.mark.parametrize("number", [1, 2])
async def test_opening_fails(
    tmp_path: Path, opened: Any, ops: Any, open_files: Any, number: int
) -> None:
    """Neither a failed open nor a failed look at the file leaves it open."""
    async with opened(tmp_path, ops=ops) as store:
        locator = await put(store)
        before = open_files()
        ops.fail_at(number, errno.EMFILE)
        with pytest.raises(Unavailable):
            await store.open(locator)
        assert open_files() == before


async def test_what_the_disk_was_asked_for_is_told(tmp_path: Path, opened: Any) -> None:
    """From memory until the first piece that was not there, and never again after it."""

    class Evicted(Warm):
        is_cold = False

        def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
            if self.is_cold:
                raise BlockingIOError(errno.EAGAIN, "not cached")
            return super().read_now(fd, buffer, start)

    ops = Evicted()
    async with opened(tmp_path, ops=ops) as store, await store.open(await put(store)) as reader:
        assert reader.from_memory
        assert await read(reader) == DATA
        assert reader.from_memory
        ops.is_cold = True
        assert reader.read_now(0, 10) is None
        assert reader.from_memory, "nothing was read"
        assert await read(reader, 7, 1) == DATA[7:8]
        assert not reader.from_memory
        ops.is_cold = False
        assert await read(reader) == DATA
        assert not reader.from_memory
    ops.can_read_now = False
    async with opened(tmp_path, ops=ops) as store, await store.open(await put(store)) as reader:
        assert not reader.from_memory, "it cannot tell"


async def test_a_file_has_no_identity_until_its_clock_has_moved(
    tmp_path: Path, opened: Any
) -> None:
    """What was changed within a tick could be changed once more without a trace."""

    class Dated(FsOps):
        changed_ns = 0

        def fstat(self, fd: int) -> Any:
            facts = super().fstat(fd)
            return SimpleNamespace(
                st_mode=facts.st_mode,
                st_dev=facts.st_dev,
                st_ino=facts.st_ino,
                st_size=facts.st_size,
                st_mtime_ns=0,
                st_ctime_ns=self.changed_ns,
            )

    dated = Dated()
    second = 1_000_000_000
    async with opened(tmp_path, ops=dated) as store, await store.open(await put(store)) as reader:
        now = time.time_ns() // second * second
        for changed_ns, is_told in (
            (now + 100 * second, False),  # by a clock that was put back
            (now + 1, False),
            (now - second - 1, True),
            (now - second, False),  # a filesystem that keeps whole seconds
            (now - 3 * second, True),
        ):
            dated.changed_ns = changed_ns
            if changed_ns == now + 1 and time.time_ns() - now > second // 10:
                continue
            assert (reader.identity() is not None) is is_told
    assert reader.identity() is None, "it is closed"
