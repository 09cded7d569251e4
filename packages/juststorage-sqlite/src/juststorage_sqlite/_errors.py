"""SQLite's errors as ours.

Used at the edges of the threads that talk to SQLite, so that no driver's error leaves this package.
The driver's words stay in `__cause__`: they may quote a path or a statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from juststorage.errors import Corrupt, JustStorageError, StorageFull, Unavailable

__all__ = ["commit_failure", "lacks_room", "our_errors", "translated"]

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


def lacks_room(error: sqlite3.Error) -> bool:
    """Whether it failed because the disk is full."""
    code = getattr(error, "sqlite_errorcode", 0)
    # The index of the log lies in shared memory, and is a file all the same.
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def translated(error: sqlite3.Error) -> JustStorageError:
    """What the error means to a caller."""
    # The low byte is the error, the rest says more about it; absent when the module itself raised.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        return Corrupt("the metadata database is damaged")
    if lacks_room(error):
        return StorageFull("there is no room left for metadata")
    if code == sqlite3.SQLITE_CONSTRAINT:
        # Everything that callers can cause is checked before; what is left is drift (R04).
        return Corrupt("stored metadata contradicts itself")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("the metadata database is busy")
    return Unavailable("the metadata database does not answer")


def commit_failure(error: sqlite3.Error) -> JustStorageError:
    """What it means that COMMIT raised."""
    meaning = translated(error)
    if isinstance(meaning, StorageFull):
        return meaning  # the log could not be written, so nothing was committed
    # Whatever it was, the answer to the callers is the same: look before you try again.
    return Unavailable("the metadata database did not confirm the change")


@contextmanager
def our_errors() -> Iterator[None]:
    """Turn what SQLite raises inside into one of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error) from error
