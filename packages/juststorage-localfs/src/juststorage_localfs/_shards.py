"""Which directories are known to survive a power cut, and how new ones come to do so.

A name in a directory is worth nothing while the directory's own name is not durable in its parent
(R14). That another process made the directory says nothing about whether it has synced the parent
yet. So a process takes a shard directory for durable only after a sync of its parent that began
when the directory was there. One flag each, a byte, because there are 65,536 of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress

from juststorage_localfs._fsops import FsOps
from juststorage_localfs._layout import is_shard

__all__ = ["Shards"]


class Shards:
    """The directories of one root, named `{...}/{aa}/{bb}`; `{...}/{aa}` is called a parent.

    Used from many threads: a lost update costs one more sync, never one too few. Methods raise
    `OSError`.
    """

    def __init__(self, ops: FsOps, root_fd: int) -> None:
        self._ops = ops
        self._root_fd = root_fd
        self._parents: set[str] = set()
        """Parents whose own names are durable, up to the root."""
        self._durable: dict[str, bytearray] = {}
        """For a parent, by number of the shard: 1 where the shard's name is durable."""

    def learn_parents(self) -> None:
        """Make durable, and remember, the parents that are there; for the opening.

        Those that are missing are made by the first upload that needs them: 256 syncs in the life
        of a store, against 256 directories at the birth of each.
        """
        with closing(self._ops.entries(".", dir_fd=self._root_fd)) as entries:
            found = {name for name, is_directory in entries if is_directory and is_shard(name)}
        self._ops.fsync_directory(".", dir_fd=self._root_fd)
        self._parents.update(found)

    def is_durable(self, directory: str) -> bool:
        """Whether the directory's name is known to survive."""
        flags = self._durable.get(directory[:-3])
        return flags is not None and flags[int(directory[-2:], 16)] == 1

    def make(self, directory: str) -> None:
        """Make the directory where it is missing; durable after `sync_name`."""
        try:
            self._mkdir(directory)
        except FileNotFoundError:
            parent = directory[:-3]
            self.forget(directory)
            above = parent[:-3]
            if above:
                self._mkdir(above)
            self._mkdir(parent)
            self._mkdir(directory)

    def forget(self, directory: str) -> None:
        """The directory has disappeared, or may have."""
        parent = directory[:-3]
        self._durable.pop(parent, None)
        self._parents.discard(parent)

    def sync_name(self, directory: str) -> None:
        """Make the directory's name durable."""
        parent, leaf = directory[:-3], directory[-2:]
        there = {leaf}
        if parent not in self._durable:
            # The first time here, all the neighbours become known for the price of one.
            with closing(self._ops.entries(parent, dir_fd=self._root_fd)) as entries:
                there.update(name for name, is_dir in entries if is_dir and is_shard(name))
        self._ops.fsync_directory(parent, dir_fd=self._root_fd)
        if parent not in self._parents:
            above = parent[:-3]
            if above:
                self._ops.fsync_directory(above, dir_fd=self._root_fd)
            self._ops.fsync_directory(".", dir_fd=self._root_fd)
        self._mark(parent, there)

    def mark_durable(self, directories: Iterable[str]) -> None:
        """A sync of the whole volume, begun after `make`, has covered these."""
        for directory in directories:
            self._mark(directory[:-3], (directory[-2:],))

    def _mark(self, parent: str, leaves: Iterable[str]) -> None:
        self._parents.add(parent)
        flags = self._durable.setdefault(parent, bytearray(256))
        for leaf in leaves:
            flags[int(leaf, 16)] = 1

    def _mkdir(self, path: str) -> None:
        # Where something foreign is in the way, the rename into it says so.
        with suppress(FileExistsError):
            self._ops.mkdir(path, dir_fd=self._root_fd)
