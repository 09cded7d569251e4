"""A filesystem that loses on request what was never synced: a power cut without a power cut.

The files are real. Beside them this keeps book of what a disk would hold: the bytes of a file are
safe after an fsync of the file, a name after an fsync of its directory, and everything after a sync
of the volume. `cut` takes away the rest, in the worst way that POSIX allows: bytes are gone, names
that were not synced are gone with them, and a name that was replaced has its former file again. Or
it takes away some of the rest, as chance has it: a disk may have written any part of it.

For the kit's tests of durability, with a store that is in use when the power goes:

    disk = ForgetfulOps(root, safe)
    backend = replace(LOCALFS, open=disk.open_store)    # the options' root is the disk's
    power_cut = disk.power_off                          # the next opening starts the machine again
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from juststorage.plugins import OpenContext
from juststorage.ports import BlobStore
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs.plugin import LocalFSOptions

__all__ = ["ForgetfulOps"]

_BLOCK_BYTES = 4096
"""What filesystems and disks write at once."""


class ForgetfulOps(FsOps):
    """The filesystem below one root; may be shared by several stores on it.

    Args:
        root: Where the names that it is given begin.
        safe: A directory outside the root, for what a cut may have to bring back.
        whole: Whether a sync of the volume does what a sync of each file would, as on ext4.
    """

    can_sync_volume = False

    def __init__(self, root: Path, safe: Path, *, whole: bool = False) -> None:
        self.can_sync_volume = whole
        self._root = root
        self._safe = safe
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._dirty: dict[int, list[str]] = {}
        """By inode: files with bytes that no sync has covered, and every name they had."""
        self._safe_bytes: dict[int, int] = {}
        """By the same inodes: how long they were when they were last safe."""
        self._names: dict[str, Callable[[], None]] = {}
        """Names that their directories have not synced, each with what undoes it."""
        self.before_directory_sync: Callable[[str], None] = lambda path: None
        self.amid_volume_sync: Callable[[], None] = lambda: None
        self._is_off = False

    @asynccontextmanager
    async def open_store(
        self, options: LocalFSOptions, context: OpenContext
    ) -> AsyncIterator[BlobStore]:
        """`localfs` on this disk. Where the power had gone it comes back, and the loss is there."""
        if self._is_off:
            self.cut()
            self._is_off = False
        async with open_store(options, context, ops=self) as store:
            yield store

    def power_off(self) -> None:
        """From here on nothing reaches the disk: whoever goes on changing it gets an error."""
        with self._lock:
            self._is_off = True

    def _need_power(self) -> None:
        if self._is_off:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def cut(self, chance: random.Random | None = None) -> None:
        """Lose what was not synced. No store may be open on the root.

        Args:
            chance: Says what of it the disk had written all the same: any of the names, and of a
                file's bytes all, none, the first ones, or some of its blocks, with zeros in place
                of the others. None: nothing.
        """
        for inode, names in self._dirty.items():
            for name in names:
                if (self._root / name).is_file():
                    _lose_bytes(self._root / name, self._safe_bytes[inode], chance)
        for undo in reversed(self._names.values()):
            if chance is None or chance.random() < 0.5:
                undo()
        self._dirty.clear()
        self._names.clear()

    def unsafe(self) -> list[str]:
        """Names that a cut would take away now."""
        return list(self._names)

    # -- the book -----------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        """Remember what a descriptor stands for."""
        self._need_power()
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        with self._lock:
            self._paths[fd] = "." if dir_fd is None else path
        return fd

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        """Bytes that are not safe yet."""
        with self._lock:
            self._need_power()
            facts = os.fstat(fd)
            if facts.st_ino not in self._dirty:
                self._safe_bytes[facts.st_ino] = facts.st_size
            self._dirty.setdefault(facts.st_ino, []).append(self._paths[fd])
        return super().write(fd, data)

    def truncate(self, fd: int, length: int) -> None:
        """Taken for safe at once: what is cut off was not, or nobody counts on it."""
        inode = os.fstat(fd).st_ino
        with self._lock:
            self._need_power()
            self._safe_bytes[inode] = min(length, self._safe_bytes.get(inode, length))
        super().truncate(fd, length)

    def fsync(self, fd: int) -> None:
        """Bytes, or the names in a directory, are safe."""
        super().fsync(fd)
        with self._lock:
            self._need_power()
            path = self._paths[fd]
            self._dirty.pop(os.fstat(fd).st_ino, None)
            for name in [each for each in self._names if str(Path(each).parent) == path]:
                del self._names[name]

    def fsync_directory(self, path: str, *, dir_fd: int) -> None:
        """Stop where a test wants it."""
        self.before_directory_sync(path)
        super().fsync_directory(path, dir_fd=dir_fd)

    def mounts(self) -> str:
        """Where the volume can be synced whole, a filesystem that is known to do that."""
        return "1 1 1:1 / / rw - ext4 disk rw" if self.can_sync_volume else super().mounts()

    def sync_volume(self, fd: int) -> None:
        """Names are safe, and then bytes: a disk may write them in this order as well."""
        with self._lock:
            self._need_power()
            self._names.clear()
        self.amid_volume_sync()
        with self._lock:
            self._need_power()
            self._dirty.clear()

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        """A name that is not safe yet; the file that it replaces is."""
        inode = (self._root / source).stat().st_ino
        with self._lock:
            self._need_power()
            if target not in self._names:
                former = self._safe / f"{next(self._numbers):06}"
                if (self._root / target).exists():
                    os.link(self._root / target, former)
                self._names[target] = lambda: self._undo_rename(target, former)
        super().rename(source, target, dir_fd=dir_fd)
        with self._lock:
            if inode in self._dirty:
                self._dirty[inode].append(target)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        """A second name, which is not safe yet."""
        self._need_power()
        super().link(source, target, dir_fd=dir_fd)
        with self._lock:
            self._names[target] = lambda: (self._root / target).unlink(missing_ok=True)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        """Taken for safe at once."""
        self._need_power()
        super().unlink(path, dir_fd=dir_fd)

    def _undo_rename(self, target: str, former: Path) -> None:
        (self._root / target).unlink(missing_ok=True)
        if former.exists():
            former.rename(self._root / target)

    def mkdir(self, path: str, *, dir_fd: int | None = None) -> None:
        """A directory that is not safe yet, nor anything in it."""
        self._need_power()
        super().mkdir(path, dir_fd=dir_fd)
        if dir_fd is not None:
            with self._lock:
                self._names[path] = lambda: shutil.rmtree(self._root / path, ignore_errors=True)


def _lose_bytes(path: Path, safe_bytes: int, chance: random.Random | None) -> None:
    """Of what comes after the safe ones; see `ForgetfulOps.cut`."""
    size_bytes = path.stat().st_size
    if size_bytes <= safe_bytes:
        return
    what = "all" if chance is None else chance.choice(("none", "all", "the last", "blocks"))
    if chance is None or what == "all":
        os.truncate(path, safe_bytes)
    elif what == "the last":
        os.truncate(path, chance.randint(safe_bytes, size_bytes))
    elif what == "blocks":
        with path.open("r+b") as file:
            for block in range(safe_bytes // _BLOCK_BYTES, -(-size_bytes // _BLOCK_BYTES)):
                start = max(block * _BLOCK_BYTES, safe_bytes)
                end = min((block + 1) * _BLOCK_BYTES, size_bytes)
                if chance.random() < 0.5:
                    file.seek(start)
                    file.write(bytes(end - start))
