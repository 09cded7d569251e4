"""Writing one large file, past the page cache where that is possible.

A copy into the page cache costs more processor time than SHA-256 does wherever fresh pages are dear
(a virtual machine gives them back to its host), and it drives out what readers need. Small files
are better off in it: they are read soon, and several are made durable at once.
"""

from __future__ import annotations

import errno
import mmap
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from juststorage_localfs._volume import Volume

__all__ = ["BLOCK_BYTES", "WRITE_OUT_BYTES", "Blocks", "FileWriter"]

BLOCK_BYTES: Final = 1024 * 1024
"""One direct write. Files that are smaller than this go through the page cache.

Measured on one disk with 1 GiB: 1.5 GB/s with 1 MiB, no more with 4 MiB, and twice to four times
what the page cache gave. A multiple of every logical block size in use.
"""

WRITE_OUT_BYTES: Final = 8 * 1024 * 1024
"""How much may wait in the page cache before the disk is asked to begin: what is on its way already
makes the final sync short, and keeps one large upload from slowing everyone else's syncs.
"""

_KEPT_MAX: Final = 8


class Blocks:
    """Page-aligned buffers of `BLOCK_BYTES`, some kept for the next upload. For many threads."""

    def __init__(self) -> None:
        self._kept: deque[mmap.mmap] = deque()
        self._lock = threading.Lock()

    def take(self) -> mmap.mmap:
        """A buffer, with whatever is in it."""
        with self._lock:
            if self._kept:
                return self._kept.pop()
        return mmap.mmap(-1, BLOCK_BYTES)

    def give_back(self, block: mmap.mmap) -> None:
        """Keep it for the next one, or let it go."""
        with self._lock:
            if len(self._kept) < _KEPT_MAX:
                self._kept.append(block)
                return
        block.close()


class FileWriter:
    """Appends to an open file. One call after another, in any thread; raises `OSError`.

    Args:
        volume: Where the file is.
        fd: The file, its end where writes go; it stays the caller's.
        start: Bytes that are in it already.
    """

    def __init__(self, volume: Volume, fd: int, *, start: int = 0) -> None:
        self._volume = volume
        self._fd = fd
        self._blocks = volume.blocks
        self._block: mmap.mmap | None = None
        self._filled = 0
        self._lead_bytes = -start % BLOCK_BYTES
        """What is missing to a whole block, behind which direct writes may begin."""
        self._is_direct = False
        self._not_written_out = 0

    @property
    def waiting_bytes(self) -> int:
        """What was taken and has not been written."""
        return self._filled

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take all of it; up to a block of it may wait for `flush`."""
        if self._blocks is None:
            self._write_through(data)
            return
        rest = memoryview(data)
        if self._lead_bytes:
            lead, rest = rest[: self._lead_bytes], rest[self._lead_bytes :]
            self._write_through(lead)
            self._lead_bytes -= len(lead)
        while rest:
            if self._block is None:
                self._block = self._blocks.take()
            count = min(len(rest), BLOCK_BYTES - self._filled)
            self._block[self._filled : self._filled + count] = rest[:count]
            self._filled += count
            rest = rest[count:]
            if self._filled == BLOCK_BYTES and not self._write_block():
                self._write_through(rest)
                return

    def flush(self) -> None:
        """Hand everything to the kernel. Durable it is after a sync."""
        if self._filled:
            self._leave_direct()
        self.close()

    def close(self) -> None:
        """Give the buffer back; what was in it is gone unless it was flushed. May be repeated."""
        block, self._block = self._block, None
        self._filled = 0
        if block is not None and self._blocks is not None:
            self._blocks.give_back(block)

    def _write_block(self) -> bool:
        """Write a full block; whether that went past the page cache, and the next one may."""
        block = self._block
        assert block is not None
        if not self._is_direct:
            try:
                self._volume.ops.set_direct(self._fd, True)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._leave_direct()
                return False
            self._is_direct = True
        try:
            written = self._volume.ops.write(self._fd, memoryview(block))
        except OSError as error:
            # Some filesystems accept the flag and not the write.
            if error.errno != errno.EINVAL:
                raise
            written = 0
        if written == BLOCK_BYTES:
            self._filled = 0
            return True
        # The rest may not be a whole number of disk blocks.
        self._leave_direct(written)
        return False

    def _leave_direct(self, start: int = 0) -> None:
        """Write what is in the block from `start` on, and all that follows, like everyone else."""
        block, blocks = self._block, self._blocks
        assert block is not None and blocks is not None
        self._blocks = None
        try:
            if self._is_direct:
                self._volume.ops.set_direct(self._fd, False)
                self._is_direct = False
            with memoryview(block) as view, view[start : self._filled] as rest:
                self._write_through(rest)
        finally:
            self._block, self._filled = None, 0
            blocks.give_back(block)

    def _write_through(self, data: bytes | bytearray | memoryview) -> None:
        self._volume.write_all(self._fd, data)
        self._not_written_out += len(data)
        if self._not_written_out >= WRITE_OUT_BYTES:
            self._not_written_out = 0
            self._volume.start_write_out(self._fd)
