"""Uploads that go on later: files in the staging directory, which outlive who wrote them.

    .staging/{upload}.00000000    the bytes
    .staging/{upload}.00000001    the marks: how many of them are durable, a line each time

A mark is appended, and synced, after the bytes that it counts were. So what the last whole line
says is there whatever happened since, on any filesystem: the size of the bytes' file is no proof of
that, because a power cut may leave a size without the bytes. What lies behind the mark is cut off
before more is written.

Before the bytes get their final name their hash is appended as well, so that the next attempt need
not read them again if the process dies before the commit. From then on nothing is written to them.
The final name is a second one: until the commit nobody can say that it stays. A database that
crashes may lose the reservation, and a collector then takes that name away; the bytes that the
client was told are safe still have theirs.

Whoever writes holds a lock on the marks, which the kernel takes back from a process that is killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import (
    Corrupt,
    Invalid,
    JustStorageError,
    NotFound,
    Unavailable,
    UploadInUse,
)
from juststorage.ports import ResumableBlob
from juststorage_localfs._errors import read_back, translate, translated
from juststorage_localfs._jobs import Jobs
from juststorage_localfs._layout import STAGING, resumable_names
from juststorage_localfs._staged import ROOM_CHECK_BYTES
from juststorage_localfs._volume import Volume
from juststorage_localfs._writer import FileWriter

__all__ = ["KEEP_BYTES", "LocalFSResumableBlob", "begin", "discard", "kept_bytes"]

KEEP_BYTES: Final = 64 * 1024 * 1024
"""How much a process that is killed loses of a body at most. A mark costs two syncs, some
milliseconds; at 500 MB/s that is one in 130 ms."""

_DIGITS: Final = 20
_READ_BYTES: Final = 64 * 1024


class _Marks(NamedTuple):
    kept_bytes: int
    placed_as: ContentHash | None
    whole_bytes: int
    """Of the marks' file itself, up to the end of its last whole line."""


def begin(volume: Volume, upload_id: ObjectId) -> None:
    """Make both files, durably."""
    volume.need_room(0)
    data, marks, _ = resumable_names(upload_id)
    try:
        with translated():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            volume.ops.close(volume.ops.open(data, flags, dir_fd=volume.root_fd))
            fd = volume.ops.open(marks, flags | os.O_APPEND, dir_fd=volume.root_fd)
            try:
                _append(volume, fd, _mark(0))
            finally:
                volume.ops.close(fd)
            with volume.syncing():
                volume.ops.fsync_directory(STAGING, dir_fd=volume.root_fd)
    except BaseException:
        volume.drop(data)
        volume.drop(marks)
        raise


def kept_bytes(volume: Volume, upload_id: ObjectId) -> int | None:
    """What the last mark says, or None where the bytes, or the marks, are not there."""
    data, marks, _ = resumable_names(upload_id)
    with translated():
        try:
            fd = volume.ops.open(marks, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=volume.root_fd)
        except FileNotFoundError:
            return None
        try:
            found = _read(volume, fd)
        finally:
            volume.ops.close(fd)
        try:
            volume.ops.stat(data, dir_fd=volume.root_fd)
        except FileNotFoundError:
            return None
    return found.kept_bytes


def discard(volume: Volume, upload_id: ObjectId) -> None:
    """Take all names away; the first failure is raised once each has been tried."""
    failure: OSError | None = None
    for name in resumable_names(upload_id):
        try:
            volume.ops.unlink(name, dir_fd=volume.root_fd)
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = failure or error
    if failure is not None:
        raise translate(failure) from failure


class LocalFSResumableBlob(ResumableBlob):
    """Both files, open. The store makes it; one request uses it, one call after another."""

    def __init__(self, volume: Volume, jobs: Jobs, upload_id: ObjectId) -> None:
        self.size_bytes = 0
        self.placed_as = None
        self._volume = volume
        self._jobs = jobs
        self._data, self._marks, self._placing = resumable_names(upload_id)
        self._marks_fd = -1
        self._fd = -1
        self._read_fd = -1
        self._writer: FileWriter | None = None
        self._kept_bytes = 0
        self._not_checked = ROOM_CHECK_BYTES

    async def open(self) -> None:
        """Take the lock and find out what is there. After a failure there is an `aclose` to do."""
        await self._jobs.run(self._open)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._jobs.run(self._write, [data])

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        await self._jobs.run(self._write, parts)

    async def read(self, start: int, length: int) -> bytes:
        return await self._jobs.run(self._read, start, length)

    async def keep(self) -> None:
        await self._jobs.run(self._keep)

    async def finish(self) -> None:
        await self._jobs.run(self._finish)

    async def place(self, content_hash: ContentHash) -> Locator:
        """Give the finished bytes their final name, whatever has it now."""
        return await self._jobs.run(self._place, content_hash)

    async def aclose(self) -> None:
        try:
            await self._jobs.run_to_the_end(self._close)
        except Unavailable:
            self._close()

    def _open(self) -> None:
        volume, ops = self._volume, self._volume.ops
        with translated():
            try:
                flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
                self._marks_fd = ops.open(self._marks, flags, dir_fd=volume.root_fd)
            except FileNotFoundError:
                raise NotFound("there is no such upload") from None
            if not ops.lock(self._marks_fd):
                raise UploadInUse(
                    "another request is bringing bytes to this upload", retry_after_s=1
                )
            marks = _read(volume, self._marks_fd)
            if marks.whole_bytes < ops.fstat(self._marks_fd).st_size:
                # Half a line, torn by a crash; the next one must not be taken for its end.
                ops.truncate(self._marks_fd, marks.whole_bytes)
            self.size_bytes = self._kept_bytes = marks.kept_bytes
            self.placed_as = marks.placed_as
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
                self._fd = ops.open(self._data, flags, dir_fd=volume.root_fd)
            except FileNotFoundError:
                raise NotFound("the bytes of this upload are gone") from None
            size = ops.fstat(self._fd).st_size
            if size < self._kept_bytes:
                raise Corrupt("the volume has fewer bytes of this upload than it was to keep")
            if self.placed_as is not None:
                # They may be those of a blob by now.
                if size > self._kept_bytes:
                    raise Corrupt("the volume has more bytes of this upload than were placed")
                self._fd = self._closed(self._fd)
                return
            if size > self._kept_bytes:
                ops.truncate(self._fd, self._kept_bytes)
        self._writer = FileWriter(volume, self._fd, start=self._kept_bytes)

    def _write(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        if self._writer is None:
            raise Unavailable("the staged bytes are closed")
        if self._not_checked >= ROOM_CHECK_BYTES:
            # Before the write, which has not failed then: all up to here can still be kept.
            self._volume.need_room(0)
            self._not_checked = 0
        with self._stopping(), translated():
            for data in parts:
                self._writer.write(data)
                self.size_bytes += len(data)
                self._not_checked += len(data)
            written_bytes = self.size_bytes - self._writer.waiting_bytes
            if written_bytes - self._kept_bytes >= KEEP_BYTES:
                self._mark(written_bytes)

    def _read(self, start: int, length: int) -> bytes:
        volume = self._volume
        pieces: list[bytes] = []
        with read_back():
            if self._read_fd < 0:
                # Of its own: what is written past the page cache would have to be read so, too.
                flags = os.O_RDONLY | os.O_NOFOLLOW
                self._read_fd = volume.ops.open(self._data, flags, dir_fd=volume.root_fd)
            while length > 0:
                piece = volume.ops.pread(self._read_fd, length, start)
                if not piece:
                    raise Corrupt("the volume has fewer bytes of this upload than it was given")
                pieces.append(piece)
                start += len(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep(self) -> None:
        if self._writer is None or self.size_bytes == self._kept_bytes:
            return
        with self._stopping(), translated():
            self._writer.flush()
            self._mark(self.size_bytes)

    def _finish(self) -> None:
        if self._writer is None and self.placed_as is None:
            raise Unavailable("the staged bytes are closed")
        self._keep()
        self._stop()

    def _mark(self, kept_bytes: int) -> None:
        """Make the bytes durable, then that they are. Raises `OSError`."""
        self._volume.sync(self._fd)
        _append(self._volume, self._marks_fd, _mark(kept_bytes))
        self._kept_bytes = kept_bytes

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """After a failure nobody can say which bytes are there behind the last mark."""
        try:
            yield
        except JustStorageError:
            self._stop()
            raise

    def _place(self, content_hash: ContentHash) -> Locator:
        assert self._fd < 0 and self._marks_fd >= 0, "place follows finish"
        with translated():
            if self.placed_as != content_hash:
                _append(self._volume, self._marks_fd, f"{content_hash}\n".encode())
            self.placed_as = content_hash
            # What an attempt left that died just here.
            self._volume.drop(self._placing)
            self._volume.ops.link(self._data, self._placing, dir_fd=self._volume.root_fd)
        locator = self._volume.place(self._placing, content_hash)
        # Where the final name is one of this very file, the rename has done nothing.
        self._volume.drop(self._placing)
        return locator

    def _stop(self) -> None:
        """No more bytes; the lock stays."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._fd = self._closed(self._fd)
        self._read_fd = self._closed(self._read_fd)

    def _close(self) -> None:
        self._stop()
        self._marks_fd = self._closed(self._marks_fd)

    def _closed(self, fd: int) -> int:
        if fd >= 0:
            with suppress(OSError):
                self._volume.ops.close(fd)
        return -1


def _mark(kept_bytes: int) -> bytes:
    return b"%0*d\n" % (_DIGITS, kept_bytes)


def _append(volume: Volume, fd: int, line: bytes) -> None:
    volume.write_all(fd, line)
    volume.sync(fd)


def _read(volume: Volume, fd: int) -> _Marks:
    """The last mark, and the hash that follows it, if one does. Half a line at the end is none."""
    text = bytearray()
    while piece := volume.ops.pread(fd, _READ_BYTES, len(text)):
        text += piece
    kept_bytes, placed_as = 0, None
    for line in bytes(text).split(b"\n")[:-1]:
        if len(line) == _DIGITS and line.isdigit():
            kept_bytes, placed_as = int(line), None
            continue
        try:
            placed_as = ContentHash(line.decode("ascii", "replace"))
        except Invalid:
            continue  # no line of ours; those around it are not worse for it
    return _Marks(kept_bytes, placed_as, text.rfind(b"\n") + 1)
