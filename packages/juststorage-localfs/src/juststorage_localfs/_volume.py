"""Volume: what the store does in threads, for one root. Everything here blocks.

Methods raise the errors of `juststorage.errors`, except where they say `OSError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import StorageFull, Unavailable
from juststorage.ports import Space
from juststorage_localfs._ballast import Ballast
from juststorage_localfs._errors import translated
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._layout import STAGING, is_locator, locator_of, staged_name
from juststorage_localfs._shards import Shards
from juststorage_localfs._writer import Blocks

__all__ = ["Volume"]

_PROBE = f"{STAGING}/.ping"
_PROBE_BYTES = b"juststorage\n"

_DIRECTORIES_APART_MAX = 4
"""So many directories are synced one by one; for more, the volume, whoever else writes to it."""


class Volume:
    """A root directory, open. Safe to use from many threads at once.

    Args:
        root: The absolute path.
        root_fd: The same, open; `close` closes it.
        ops: The calls to the filesystem.
        reserve_bytes: What has to stay free.
        can_sync_whole: Whether `sync_whole` does here what a sync of each file would.
        blocks: Buffers for large files, which are then written past the page cache.
        may_make_ballast: Whether there is to be one where there is none.
    """

    def __init__(
        self,
        root: str,
        root_fd: int,
        *,
        ops: FsOps,
        reserve_bytes: int,
        can_sync_whole: bool,
        blocks: Blocks | None = None,
        may_make_ballast: bool = True,
    ) -> None:
        self.root = root
        self.root_fd = root_fd
        self.ops = ops
        self.shards = Shards(ops, root_fd)
        self.ballast = Ballast(self, may_make=may_make_ballast)
        self.can_sync_whole = can_sync_whole
        self.blocks = blocks
        self.suspect = False
        self._reserve_bytes = reserve_bytes

    def close(self) -> None:
        """Close the root. Whoever still calls then gets an error, never another directory."""
        fd, self.root_fd = self.root_fd, -1
        self.ops.close(fd)

    # -- room and health ----------------------------------------------------------------------

    def space(self) -> Space:
        """Room for blobs on the volume.

        What is reserved, for root or by `reserve_bytes`, counts as taken: who asks wants to know
        what an upload may still use.
        """
        with translated():
            facts = self.ops.statvfs(self.root_fd)
        free_bytes = facts.f_bavail * facts.f_frsize
        if self.ballast.is_short:
            self.ballast.keep(free_bytes)
        return Space(
            total_bytes=facts.f_blocks * facts.f_frsize,
            free_bytes=max(0, free_bytes - self._reserve_bytes),
        )

    def need_room(self, size_bytes: int) -> None:
        """Refuse early what would eat the reserve.

        Raises:
            StorageFull: Fewer than `reserve_bytes` would remain.
        """
        free_bytes = self.space().free_bytes
        # An empty body needs room as well: for its name.
        if free_bytes == 0 or free_bytes < size_bytes:
            raise StorageFull("there is not enough free space on the volume")

    def probe(self) -> None:
        """Write, sync, read and remove a small file.

        Processes share its name: what one leaves behind in a crash the next one takes away.

        Raises:
            StorageFull: There is no room even for that.
            Unavailable: Anything else, a write that was lost before included.
        """
        if self.suspect:
            raise Unavailable("the volume has lost a write; check it, then restart the service")
        with translated():
            fd = self.ops.open(_PROBE, os.O_RDWR | os.O_CREAT | os.O_TRUNC, dir_fd=self.root_fd)
            try:
                self.write_all(fd, _PROBE_BYTES)
                self.sync(fd)
                answer = self.ops.pread(fd, len(_PROBE_BYTES), 0)
            finally:
                self.ops.close(fd)
                with suppress(FileNotFoundError):
                    self.ops.unlink(_PROBE, dir_fd=self.root_fd)
        if answer not in {_PROBE_BYTES, b""}:  # empty: another process has just begun its own
            raise Unavailable("the volume does not give back what was written")

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Around every sync: one that fails with EIO may have dropped pages of anyone's."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.EIO:
                self.suspect = True
            raise

    # -- staging ------------------------------------------------------------------------------

    def create(self, upload_id: ObjectId) -> tuple[str, int]:
        """A fresh staging file: its name and descriptor. Raises `OSError`."""
        name = staged_name(upload_id)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return name, self.ops.open(name, flags, dir_fd=self.root_fd)

    def write_all(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of it. Raises `OSError`."""
        written = self.ops.write(fd, data)
        if written < len(data):
            rest = memoryview(data)[written:]
            while rest:
                written = self.ops.write(fd, rest)
                if not written:
                    raise OSError(errno.EIO, "nothing was written")
                rest = rest[written:]

    def start_write_out(self, fd: int) -> None:
        """Let the disk begin. A hint: what fails here fails again, and is told, in `sync`."""
        with suppress(OSError):
            self.ops.start_write_out(fd)

    def sync(self, fd: int) -> None:
        """Make a file's bytes durable. Raises `OSError`; never to be tried again on this `fd`."""
        with self.syncing():
            self.ops.fsync(fd)

    def open_whole(self) -> int | None:
        """A descriptor for `sync_whole`, to be opened before the first write that it is to cover.

        Linux tells each failed write-back once to every descriptor that was open when it happened.
        With one descriptor for all, of two syncs at once only the first would hear of a failure,
        and the other would answer for bytes that are lost.

        Returns:
            None where there is none to be had; files are synced one by one then.
        """
        try:
            return self.ops.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.root_fd)
        except OSError:
            return None

    def sync_whole(self, fd: int) -> None:
        """Make everything on the volume durable, bytes and names. Raises `OSError`.

        It waits for what others have written, too.
        """
        with self.syncing():
            self.ops.sync_volume(fd)

    def drop(self, name: str) -> None:
        """Take a staging file away if that is possible; the sweeper finds it otherwise."""
        with suppress(OSError):
            self.ops.unlink(name, dir_fd=self.root_fd)

    # -- names --------------------------------------------------------------------------------

    def give_name(self, staged: str, content_hash: ContentHash) -> tuple[Locator, str]:
        """Rename a synced staging file to its final name, which is not durable yet.

        Returns:
            The locator and its directory, which is to be synced. Raises `OSError`.
        """
        locator = locator_of(content_hash)
        directory = locator[: locator.rindex("/")]
        if not self.shards.is_durable(directory):
            self.shards.make(directory)
        try:
            self.ops.rename(staged, locator, dir_fd=self.root_fd)
        except FileNotFoundError:
            # Somebody has tidied empty directories away. If it is the staging file that is missing,
            # the second attempt fails alike.
            self.shards.forget(directory)
            self.shards.make(directory)
            self.ops.rename(staged, locator, dir_fd=self.root_fd)
        return locator, directory

    def sync_directory(self, directory: str) -> None:
        """Make the names in a shard directory durable, and its own. Raises `OSError`."""
        with self.syncing():
            self.ops.fsync_directory(directory, dir_fd=self.root_fd)
            if not self.shards.is_durable(directory):
                self.shards.sync_name(directory)

    def place(self, staged: str, content_hash: ContentHash) -> Locator:
        """Give a synced staging file its final name, durably."""
        with translated():
            locator, directory = self.give_name(staged, content_hash)
            self.sync_directory(directory)
        return locator

    def make_durable(self, locators: Iterable[Locator]) -> None:
        """Make the names of placed blobs durable; of their bytes that came before the name."""
        there = (locator for locator in locators if is_locator(locator))
        directories = list(dict.fromkeys(locator[: locator.rindex("/")] for locator in there))
        with translated():
            whole_fd = self.open_whole() if self._is_less_as_whole(directories) else None
            if whole_fd is None:
                for directory in directories:
                    with suppress(FileNotFoundError):
                        self.sync_directory(directory)
                return
            try:
                self.sync_whole(whole_fd)
            finally:
                self.ops.close(whole_fd)

    def _is_less_as_whole(self, directories: Sequence[str]) -> bool:
        """Each sync of a directory flushes the disk, even where nothing has changed."""
        return self.can_sync_whole and len(directories) > _DIRECTORIES_APART_MAX

    def size(self, locator: Locator) -> int | None:
        """The size of the file that is there, or None."""
        with translated():
            try:
                facts = self.ops.stat(locator, dir_fd=self.root_fd)
            except FileNotFoundError:
                return None
        return facts.st_size if stat.S_ISREG(facts.st_mode) else None
