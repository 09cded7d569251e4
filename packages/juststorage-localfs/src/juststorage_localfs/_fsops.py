"""FsOps: every call to the filesystem, in one seam.

The store is handed an instance and makes no call of its own, so that a test can fail, block or
record the n-th call of any operation without patching anything. All methods raise `OSError`; paths
are relative to `dir_fd`, an open directory, so that a volume that is unmounted behind our back is
never mistaken for the directory it was mounted on.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
from collections.abc import Generator
from pathlib import Path

__all__ = ["FsOps"]

_LIBC = ctypes.CDLL(None, use_errno=True)
_MOUNTS = Path("/proc/self/mountinfo")
_SYNC_FILE_RANGE_WRITE = 2
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


def _kernel() -> tuple[int, ...]:
    """The version of the kernel, as (major, minor)."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


class FsOps:
    """The filesystem as it is. Stateless; all methods may be called from any thread."""

    can_sync_volume = hasattr(_LIBC, "syncfs") and _kernel() >= (5, 8)
    """Whether `sync_volume` works here and reports errors: before Linux 5.8 it hides them."""

    can_write_direct = hasattr(os, "O_DIRECT")
    """Whether `set_direct` works here."""

    can_read_now = _NOWAIT != 0 and hasattr(os, "preadv")
    """Whether `read_now` works here."""

    def mounts(self) -> str:
        """The text of proc_pid_mountinfo(5); empty where there is none."""
        try:
            return _MOUNTS.read_text(errors="surrogateescape")
        except OSError:
            return ""

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        """Open or create; the descriptor is not inherited."""
        return os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        """Close. On Linux the descriptor is gone even when this raises."""
        os.close(fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        """Write some; returns how much."""
        return os.write(fd, data)

    def allocate(self, fd: int, length: int) -> None:
        """Give the file blocks for its first `length` bytes, and at least that length."""
        os.posix_fallocate(fd, 0, length)

    def truncate(self, fd: int, length: int) -> None:
        """Cut the file to a length; the blocks behind it are free."""
        os.ftruncate(fd, length)

    def lock(self, fd: int) -> bool:
        """Lock the open file, or find that somebody has; closing it, or death, unlocks it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def set_direct(self, fd: int, on: bool) -> None:
        """Let writes bypass the page cache, or not; they have to be aligned meanwhile (open(2)).

        Raises EINVAL where the filesystem cannot.
        """
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        flags = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)

    def start_write_out(self, fd: int) -> None:
        """Ask for dirty pages to go to the disk now, without waiting for them.

        A hint: it makes a later `fsync` short and replaces none. Where there is no such call,
        nothing happens.
        """
        call = getattr(_LIBC, "sync_file_range", None)
        if call is not None and call(
            fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
        ):
            raise _os_error()

    def fsync(self, fd: int) -> None:
        """Make the file's bytes survive a power cut."""
        os.fsync(fd)

    def fsync_directory(self, path: str, *, dir_fd: int) -> None:
        """Make the directory's names survive a power cut."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=dir_fd)
        try:
            self.fsync(fd)
        finally:
            self.close(fd)

    def sync_volume(self, fd: int) -> None:
        """`fsync` for everything on the volume of `fd`, whoever wrote it."""
        if _LIBC.syncfs(fd):
            raise _os_error()

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        """Rename, replacing `target`."""
        os.rename(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        """Give a file a second name, which must be free."""
        os.link(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        """Take a name away."""
        os.unlink(path, dir_fd=dir_fd)

    def mkdir(self, path: str, *, dir_fd: int | None = None) -> None:
        """Make one directory."""
        os.mkdir(path, 0o750, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        """Remove an empty directory."""
        os.rmdir(path, dir_fd=dir_fd)

    def stat(self, path: str, *, dir_fd: int | None = None, follow: bool = False) -> os.stat_result:
        """Facts about a name."""
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=follow)

    def fstat(self, fd: int) -> os.stat_result:
        """Facts about an open file."""
        return os.fstat(fd)

    def statvfs(self, fd: int) -> os.statvfs_result:
        """Room on the volume of `fd`."""
        return os.statvfs(fd)

    def entries(self, path: str, *, dir_fd: int) -> Generator[tuple[str, bool], None, None]:
        """Name and whether it is a directory, for everything in a directory, unordered.

        Holds a descriptor until it is exhausted or closed.
        """
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    yield entry.name, entry.is_dir(follow_symlinks=False)
        finally:
            self.close(fd)

    def pread(self, fd: int, length: int, start: int) -> bytes:
        """Read some bytes; empty at the end."""
        return os.pread(fd, length, start)

    def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
        """Fill what the page cache can fill; raises `BlockingIOError` where that is nothing."""
        return os.preadv(fd, [buffer], start, _NOWAIT)


def _os_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
