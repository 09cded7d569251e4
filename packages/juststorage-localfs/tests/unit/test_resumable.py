"""Resumable uploads on a volume: marks, locks, processes that die, disks that fail."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ContentHash, ObjectId, StorageClass
from juststorage.errors import (
    Corrupt,
    NotFound,
    StorageFull,
    Unavailable,
    UploadInUse,
)
from juststorage.testing import make_content, open_context
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs._resumable import KEEP_BYTES
from juststorage_localfs._writer import BLOCK_BYTES
from juststorage_localfs.plugin import LocalFSOptions

pytestmark = pytest.mark.anyio

DATA = os.urandom(3 * BLOCK_BYTES + 12_345)


def hash_of(data: bytes) -> ContentHash:
    """The SHA-256 of these bytes."""
    return make_content(data).content_hash


class Volume:
    """A root, and stores on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def opened(self, ops: FsOps | None = None) -> Any:
        """A store."""
        return _opened(self.root, ops)

    def file(self, upload_id: ObjectId, number: int) -> Path:
        """The bytes (0) or the marks (1) of an upload."""
        return self.root / f".staging/{upload_id}.0000000{number}"


class _opened:  # noqa: N801  a function, but for its two ends
    def __init__(self, root: Path, ops: FsOps | None) -> None:
        self._root, self._ops = root, ops

    async def __aenter__(self) -> Any:
        self._context = open_context(storage_class=StorageClass.HOT)
        context = await self._context.__aenter__()
        options = LocalFSOptions(root=str(self._root), reserve_bytes=0)
        how = {} if self._ops is None else {"ops": self._ops}
        self._store = open_store(options, context, **how)
        return await self._store.__aenter__()

    async def __aexit__(self, *how: Any) -> None:
        await self._store.__aexit__(*how)
        await self._context.__aexit__(*how)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """An empty root."""
    return Volume(tmp_path)


async def begun(store: Any) -> ObjectId:
    """A fresh upload."""
    upload_id = ObjectId.new()
    await store.begin_resumable(upload_id)
    return upload_id


async def keep(store: Any, upload_id: ObjectId, data: bytes) -> None:
    """Add bytes, and keep them."""
    async with await store.resume(upload_id) as resumed:
        await resumed.write(data)
        await resumed.keep()


async def finish(store: Any, upload_id: ObjectId, rest: bytes, whole: bytes) -> None:
    """Add what is missing, and see that the blob is what it should be."""
    async with await store.resume(upload_id) as resumed:
        if rest:
            await resumed.write(rest)
        await resumed.finish()
        locator = await store.place(resumed, hash_of(whole))
    async with await store.open(locator) as reader:
        read = b"".join([chunk async for chunk in reader.chunks(0, reader.size_bytes)])
    assert read == whole


class TestMarks:
    async def test_what_lies_behind_the_mark_is_cut_off(self, volume: Volume) -> None:
        """Whatever it is: only what a mark counts was ever acknowledged."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA[:1000])
            with volume.file(upload_id, 0).open("ab") as opened:
                opened.write(b"bytes of a process that was killed")
            assert await store.resumable_bytes(upload_id) == 1000
            await finish(store, upload_id, DATA[1000:], DATA)

    @pytest.mark.parametrize("torn", [b"0", b"00000000000000000", b"0" * 20, b"sha256:00"])
    async def test_half_a_mark_is_none(self, volume: Volume, torn: bytes) -> None:
        """The last whole one counts, and the next one is not taken for the torn one's end."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA[:1000])
            with volume.file(upload_id, 1).open("ab") as opened:
                opened.write(torn)
            assert await store.resumable_bytes(upload_id) == 1000
            await keep(store, upload_id, DATA[1000:2000])
            assert await store.resumable_bytes(upload_id) == 2000
            await finish(store, upload_id, DATA[2000:], DATA)

    async def test_a_line_that_is_no_mark(self, volume: Volume) -> None:
        """It is passed over."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA[:1000])
            with volume.file(upload_id, 1).open("ab") as opened:
                opened.write(b"\xff nonsense\n")
            await finish(store, upload_id, DATA[1000:], DATA)

    async def test_fewer_bytes_than_the_mark_says(self, volume: Volume) -> None:
        """A volume that lost what it had synced is damaged, and is not patched up with zeros."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA[:1000])
            os.truncate(volume.file(upload_id, 0), 999)
            with pytest.raises(Corrupt):
                await store.resume(upload_id)

    async def test_a_long_body_is_marked_on_its_way(self, volume: Volume) -> None:
        """Without a `keep`, all but the last piece of it is safe."""
        block = os.urandom(BLOCK_BYTES)
        async with volume.opened() as store:
            upload_id = await begun(store)
            async with await store.resume(upload_id) as resumed:
                for _ in range(KEEP_BYTES // BLOCK_BYTES):
                    await resumed.write(block)
                assert await store.resumable_bytes(upload_id) == KEEP_BYTES
                await resumed.write(b"more")
                assert await store.resumable_bytes(upload_id) == KEEP_BYTES
            assert await store.resumable_bytes(upload_id) == KEEP_BYTES
            async with await store.resume(upload_id) as resumed:
                assert await resumed.read(KEEP_BYTES - BLOCK_BYTES, BLOCK_BYTES) == block

    @pytest.mark.parametrize("step", [1, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
    async def test_from_any_place_on(self, volume: Volume, step: int) -> None:
        """Aligned or not, what is appended past the page cache joins what is there."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            first = DATA[:step]
            await keep(store, upload_id, first)
            await keep(store, upload_id, DATA[step : 2 * step])
            await finish(store, upload_id, DATA[2 * step :], DATA)


class TestEnds:
    async def test_bytes_that_are_gone(self, volume: Volume) -> None:
        """There is no such upload any more, whichever of the two files is missing."""
        async with volume.opened() as store:
            for number in (0, 1):
                upload_id = await begun(store)
                await keep(store, upload_id, DATA[:1000])
                volume.file(upload_id, number).unlink()
                assert await store.resumable_bytes(upload_id) is None
                with pytest.raises(NotFound):
                    await store.resume(upload_id)
                await store.discard_resumable(upload_id)

    async def test_no_third_name_stays(self, volume: Volume) -> None:
        """Neither of an attempt that died between its link and its rename, nor of a repetition."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA)
            volume.file(upload_id, 2).write_bytes(b"of an attempt that died")
            for _ in range(2):
                await finish(store, upload_id, b"", DATA)
                assert len(await store.staged(older_than_s=0, limit=9)) == 2
                assert not volume.file(upload_id, 2).exists()
            volume.file(upload_id, 2).write_bytes(b"of an attempt that died")
            await store.discard_resumable(upload_id)
            assert await store.staged(older_than_s=0, limit=9) == []

    async def test_placed_bytes_that_grew(self, volume: Volume) -> None:
        """They are those of a blob: nobody cuts them."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await finish(store, upload_id, DATA, DATA)
            with volume.file(upload_id, 0).open("ab") as opened:
                opened.write(b"more")
            with pytest.raises(Corrupt):
                await store.resume(upload_id)
            assert volume.file(upload_id, 0).stat().st_size == len(DATA) + 4

    async def test_two_processes(self, volume: Volume) -> None:
        """One has it; when that is killed, the other one can."""
        async with volume.opened() as store:
            upload_id = await begun(store)
            await keep(store, upload_id, DATA[:1000])
            other = subprocess.Popen(  # noqa: ASYNC220  it must not end before it is told to
                [sys.executable, "-c", _HOLD, str(volume.file(upload_id, 1))],
                stdout=subprocess.PIPE,
            )
            try:
                assert other.stdout is not None
                assert other.stdout.read(1) == b"+"
                with pytest.raises(UploadInUse):
                    await store.resume(upload_id)
            finally:
                other.send_signal(signal.SIGKILL)
                other.communicate()
            await finish(store, upload_id, DATA[1000:], DATA)


_HOLD = """
import sys, time
from juststorage_localfs._fsops import FsOps
import os
assert FsOps().lock(os.open(sys.argv[1], os.O_RDWR))
print("+", end="", flush=True)
time.sleep(600)
"""


async def _as_far_as_it_goes(store: Any, upload_id: ObjectId) -> int:
    """Complete an upload that has 1000 bytes; how many of them the store has said to keep."""
    kept_bytes = 1000
    try:
        async with await store.resume(upload_id) as resumed:
            await resumed.write(DATA[1000:-10])
            await resumed.keep()
            kept_bytes = len(DATA) - 10
            await resumed.write(DATA[-10:])
            await resumed.finish()
            kept_bytes = len(DATA)
            await store.place(resumed, hash_of(DATA))
    except (StorageFull, Unavailable):
        pass
    return kept_bytes


class Failing(FsOps):
    """Fails the n-th call that changes anything, and all after it until it is mended."""

    def __init__(self, error: int) -> None:
        self._left = 10**9
        self._error = error
        self.has_failed = False

    def fail_from(self, at: int) -> None:
        """Let so many calls pass from now on."""
        self._left = at

    def mend(self) -> None:
        """Let all calls pass."""
        self._left = 10**9

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.has_failed = True
            raise OSError(self._error, os.strerror(self._error))

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        self._count()
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._count()
        super().fsync(fd)

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        self._count()
        super().rename(source, target, dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        self._count()
        super().link(source, target, dir_fd=dir_fd)

    def truncate(self, fd: int, length: int) -> None:
        self._count()
        super().truncate(fd, length)


class TestFailures:
    @pytest.mark.parametrize("number", ["ENOSPC", "EIO"])
    async def test_every_call_in_turn(self, volume: Volume, number: str) -> None:
        """Whichever call fails first, what was kept stays, and the upload is completed after it."""
        at = 0
        while True:
            ops = Failing(getattr(errno, number))
            async with volume.opened(ops) as store:
                upload_id = await begun(store)
                await keep(store, upload_id, DATA[:1000])
                ops.fail_from(at)
                kept_bytes = await _as_far_as_it_goes(store, upload_id)
                if not ops.has_failed:
                    break
                ops.mend()
                told = await store.resumable_bytes(upload_id)
                assert told is not None
                assert told >= kept_bytes
                await finish(store, upload_id, DATA[told:], DATA)
                await store.discard_resumable(upload_id)
                assert await store.staged(older_than_s=0, limit=9) == []
            at += 1
        assert at > 8

    async def test_no_room_to_begin(self, volume: Volume) -> None:
        """Nothing is left of one that could not be made."""
        for at in range(3):
            ops = Failing(errno.ENOSPC)
            async with volume.opened(ops) as store:
                ops.fail_from(at)
                with pytest.raises(StorageFull):
                    await store.begin_resumable(ObjectId.new())
                assert await store.staged(older_than_s=0, limit=9) == []
