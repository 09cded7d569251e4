"""An open blob. A removal takes its name away, never its bytes, while this is open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import suppress
from io import BytesIO

from juststorage.errors import Corrupt
from juststorage.ports import BlobReader
from juststorage_localfs._errors import read_back
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._jobs import Jobs

__all__ = ["LocalFSReader"]

PIECE_BYTES_MIN = 32 * 1024
PIECE_BYTES_MAX = 256 * 1024
_TAKEN_FOR_A_BYTE = 128
"""Pieces of `chunks` begin small and grow with what has been taken. A server holds six or seven of
them for a client that does not read, behind the 3 MB that the kernel takes first: 200 such clients
cost 363 MiB in pieces of 256 KiB, and 64 MiB so."""

READ_NOW_BYTES_MAX = 1024 * 1024
"""Above, even a copy within memory would hold up the event loop."""

_TICK_NS = 100_000_000
_COARSE_TICK_NS = 2_000_000_000
"""Two changes of a file within a tick of the clock that filesystems use leave the same times. Some
keep whole seconds, or two."""


def _piece_bytes(taken: int) -> int:
    return min(max(PIECE_BYTES_MIN, taken // _TAKEN_FOR_A_BYTE), PIECE_BYTES_MAX)


class LocalFSReader(BlobReader):
    """One descriptor. Small and cached reads happen at once, others in the store's threads."""

    def __init__(self, ops: FsOps, jobs: Jobs, fd: int, size_bytes: int, local_path: str) -> None:
        self.size_bytes = size_bytes
        self.local_path = local_path
        self._ops = ops
        self._jobs = jobs
        self._fd = fd
        self.from_memory = ops.can_read_now
        self._reads: list[Future[bytes]] = []

    def read_now(self, start: int, length: int) -> bytes | None:
        if length > READ_NOW_BYTES_MAX or not self._ops.can_read_now:
            return None
        if length == 0:
            return b""
        # It gives away what it holds without a copy. Through a bytearray, memory is taken twice,
        # all of it from the kernel: twelve times the processor time for pieces of 256 KiB.
        held = BytesIO(bytes(length))
        try:
            with held.getbuffer() as buffer:
                count = self._ops.read_now(self._fd, buffer, start)
        except OSError:
            # Not in the cache, or a filesystem that cannot tell. An error of the disk shows again
            # in `chunks`, which reports it.
            return None
        return held.getvalue() if count == length else None

    def identity(self) -> str | None:
        try:
            facts = self._ops.fstat(self._fd)
        except OSError:
            return None
        # Whoever writes cannot set the time of the last change, only the clock of the machine.
        changed_ns = facts.st_ctime_ns
        tick_ns = _TICK_NS if changed_ns % 1_000_000_000 else _COARSE_TICK_NS
        if time.time_ns() - changed_ns < tick_ns:
            return None
        return f"{facts.st_dev}.{facts.st_ino}.{facts.st_size}.{facts.st_mtime_ns}.{changed_ns}"

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        first, end = start, start + length
        ahead: Future[bytes] | None = None
        while start < end:
            size = min(_piece_bytes(start - first), end - start)
            piece = None if ahead is not None else self.read_now(start, size)
            if piece is None:
                self.from_memory = False
                piece = await self._finished(ahead or self._begin(start, size))
                # The disk is slower than memory: let it work while this piece is being sent.
                rest = end - start - size
                following = min(_piece_bytes(start + size - first), rest)
                ahead = self._begin(start + size, following) if rest else None
            start += size
            yield piece

    async def aclose(self) -> None:
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        for read in self._reads:
            read.cancel()
        self._close_after([read for read in self._reads if not read.done()], fd)

    def _close_after(self, reads: list[Future[bytes]], fd: int) -> None:
        # A number that is closed may be another file's at once, so a thread that still reads from
        # it keeps it open; the last one closes it.
        if reads:
            reads.pop().add_done_callback(lambda _: self._close_after(reads, fd))
        else:
            with suppress(OSError):
                self._ops.close(fd)

    def _begin(self, start: int, length: int) -> Future[bytes]:
        read = self._jobs.submit(self._read, self._fd, start, length)
        self._reads.append(read)
        return read

    async def _finished(self, read: Future[bytes]) -> bytes:
        piece = await asyncio.wrap_future(read)
        self._reads.remove(read)
        return piece

    def _read(self, fd: int, start: int, length: int) -> bytes:
        with read_back():
            piece = self._ops.pread(fd, length, start)
            if len(piece) == length:
                return piece
            parts = [piece]
            while piece and (length := length - len(piece)):
                start += len(piece)
                piece = self._ops.pread(fd, length, start)
                parts.append(piece)
        if not piece:
            raise Corrupt("the blob ended early")
        return b"".join(parts)
