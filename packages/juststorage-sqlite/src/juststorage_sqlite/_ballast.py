"""Ballast: blocks of the volume that the database gets when there are no others.

SQLite writes a deletion to its log before anything else, so on a volume without one free block
nothing can be deleted or collected, and the volume stays full. A file beside the database keeps
blocks for that moment. When a transaction finds the disk full, a few go to the database, so that
what is in the log can be copied into it and the log be written from its start again, and others to
the log: the file is cut, the log is grown by as much, and the transaction is done again.

They go to the log and not to the volume, because whoever has filled it would take them at once. It
gets one half. The other one is for the little that the database grows by while things are deleted,
and so lasts for a long time. Therefore what stores more is refused (`need_room`) until the ballast
is whole again, which is tried whenever somebody asks.

What each process has to know is in the file: its first byte says whether the ballast is in use, its
length how much is left. No file is one that was never made: there was no room, or none is wanted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from juststorage.errors import StorageFull

__all__ = ["Ballast"]

_LEFT_BYTES: Final = 128 * 1024
"""What is left to the volume of what the log gets: for SQLite's index of the log, 32 KiB for each
4096 pages. Nobody but SQLite may touch that, because closing it drops the locks that are on it."""

_TIGHT_BYTES: Final = 4 * 1024 * 1024
"""A transaction that cannot be done again gets the ballast beforehand where less is free."""

_STEP_BYTES: Final = 64 * 1024
"""What an opening gets at once: it makes that index. And the least that is worth the while."""

_WHOLE: Final = b"\0"
_IN_USE: Final = b"\1"


def _free_bytes(directory: Path) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


class Ballast:
    """That of one database. Blocks; for many threads. Methods raise no `OSError`.

    Args:
        database: The path of the database file.
        size_bytes: How much to keep; 0 keeps nothing.
        may_make: Whether to make the file where there is none. Otherwise only one that was given
            up is made again, so that it belongs to the service and not to who ran a command.
        free_bytes: Tells what is free in a directory; raises `OSError`.
    """

    def __init__(
        self,
        database: Path,
        size_bytes: int,
        *,
        may_make: bool,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        self._database = database
        self._path = database.with_name(f"{database.name}-ballast")
        self._log = database.with_name(f"{database.name}-wal")
        self._size_bytes = size_bytes
        self._may_make = may_make
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self.in_use = False
        """Whether it was given up, or some of it, and is not whole again; as far as this process
        has heard."""
        self._look()

    # -- making it ----------------------------------------------------------------------------

    def keep(self) -> None:
        """Make it, or make it whole again, where as much again stays free."""
        with self._lock, suppress(OSError):
            kept = self._look()
            if self._size_bytes == 0:
                self._path.unlink(missing_ok=True)
                self.in_use = False
            elif kept is None and not self._may_make:
                return
            elif kept is None or kept < self._size_bytes or self.in_use:
                if self._room() >= 2 * self._size_bytes - (kept or 0):
                    self._fill(kept)
            elif kept > self._size_bytes:  # fewer are wanted than before
                os.truncate(self._path, self._size_bytes)

    def take_back(self) -> None:
        """For who has closed the database: put what is free into it, if it is in use.

        It stays in use. What the last process had in the log would be anybody's otherwise.
        """
        with self._lock, suppress(OSError):
            kept = self._look()
            if kept is not None and self.in_use:
                fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    _grow(fd, min(self._size_bytes - kept, self._room()))
                finally:
                    os.close(fd)

    def need_room(self) -> None:
        """For what stores more.

        Raises:
            StorageFull: The ballast is in use, and there is no room to make it whole again.
        """
        if self.in_use:
            self.keep()
        if self.in_use:
            raise StorageFull(
                "there is no room left for metadata: the ballast is in use, so that deleting and"
                " collecting go on"
            )

    def _fill(self, kept: int | None) -> None:
        """Allocate what is missing, and say that it is whole."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size_bytes)
            os.pwrite(fd, _WHOLE, 0)
            self.in_use = False
        except OSError:  # somebody was faster
            if kept is None:
                self._path.unlink()
            else:
                os.ftruncate(fd, kept)
        finally:
            os.close(fd)

    # -- giving it up -------------------------------------------------------------------------

    def can_give(self) -> bool:
        """Whether it is worth the while to do again what has found the disk full.

        It is where another process has given it up, and this one hears of it only now.
        """
        was_in_use = self.in_use
        with self._lock:
            return (self._look() or 0) > _STEP_BYTES or (self.in_use and not was_in_use)

    def is_tight(self) -> bool:
        """Whether a transaction that cannot be done again had better get it beforehand."""
        with suppress(OSError):
            return self._room() < _TIGHT_BYTES and self.can_give()
        return False

    def give_to_database(self, size_bytes: int) -> None:
        """Let the volume have what the database file is shorter than this; half of it at most."""
        with self._lock, suppress(OSError):
            kept = self._look() or 0
            lacking = size_bytes - self._database.stat().st_size
            if lacking > 0:
                self._cut(kept - min(lacking + _STEP_BYTES, kept // 2))

    def give_to_log(self, *, begins_anew: bool) -> None:
        """Let the log have some. For who has begun a write transaction, and has written nothing.

        Nobody else writes to the log meanwhile: where a filesystem cannot allocate, the C library
        writes zeros instead, which must not meet what somebody appends.

        Args:
            begins_anew: Whether the log is written from its start again, so that it may be long
                enough as it is.
        """
        with self._lock, suppress(OSError):
            kept = self._look() or 0
            given = kept - kept // 2 if kept > 4 * _LEFT_BYTES else kept
            if begins_anew:
                given = min(given, self._size_bytes // 2 - self._log.stat().st_size)
                if given < 2 * _LEFT_BYTES:
                    given = 0
            self._cut(kept - given)
            # The log has no locks of SQLite on it, so that opening and closing it does no harm.
            # Who reads it stops where the sums are wrong, as they are in zeros.
            fd = os.open(self._log, os.O_RDWR | os.O_CLOEXEC)
            try:
                _grow(fd, given - _LEFT_BYTES)
            finally:
                os.close(fd)

    def give_to_opening(self) -> bool:
        """Let the volume have a little of it; whether there was any."""
        with self._lock, suppress(OSError):
            kept = self._look() or 0
            self._cut(kept - _STEP_BYTES)
            return kept > len(_IN_USE)
        return False

    def _cut(self, length: int) -> None:
        """Leave so many bytes, and say that it is in use, which takes a byte."""
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(fd, _IN_USE, 0)
            self.in_use = True
            os.ftruncate(fd, max(length, len(_IN_USE)))
        finally:
            os.close(fd)

    # -- looking ------------------------------------------------------------------------------

    def _look(self) -> int | None:
        """The length of the file; None where there is none."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            self.in_use = os.pread(fd, len(_IN_USE), 0) == _IN_USE
            return os.fstat(fd).st_size
        except OSError:
            return None
        finally:
            os.close(fd)

    def _room(self) -> int:
        return self._free_bytes(self._path.parent)


def _grow(fd: int, by_bytes: int) -> None:
    """Give a file blocks behind its end: so many, or as many as there are."""
    end = os.fstat(fd).st_size
    while by_bytes >= _STEP_BYTES:
        try:
            os.posix_fallocate(fd, end, by_bytes)
        except OSError:
            by_bytes //= 2  # somebody was faster
        else:
            return
