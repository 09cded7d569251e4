"""Connections, and the settings that durability and isolation rest on."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from juststorage_sqlite._ballast import Ballast
from juststorage_sqlite._errors import lacks_room

__all__ = ["Connecting", "connect", "patiently"]

ResultT = TypeVar("ResultT")

_JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
_RETRY_S_MIN: Final = 0.0005
_RETRY_S_MAX: Final = 0.01


class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect.

    Args:
        path: The file; it exists.
        busy_timeout_s: How long a statement waits for another process's transaction.
        cache_bytes: Page cache of one connection.
        checkpoint_pages: The log is copied into the database once it has this many pages.
        ballast: Gives room where there is none to open the file; None for none.
    """

    path: Path
    busy_timeout_s: float
    cache_bytes: int
    checkpoint_pages: int
    ballast: Ballast | None = None


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another process's lock is in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def patiently(attempt: Callable[[], ResultT], timeout_s: float) -> ResultT:
    """Attempt until no other process is in the way; then, or at the timeout, like `attempt`.

    For what SQLite does not wait for by itself. The pauses are shorter and more even than its own,
    which grow to 100 ms and starve who came first.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _RETRY_S_MIN
    while True:
        try:
            return attempt()
        except sqlite3.Error as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        pause_s = min(2 * pause_s, _RETRY_S_MAX)


def connect(how: Connecting, *, read_only: bool = False, waits: bool = True) -> sqlite3.Connection:
    """Open the existing file.

    A connection that does not wait fails at once where another process is in the way.
    Transactions are ours alone (`isolation_level=None`). Only its own thread uses the connection,
    except that any may interrupt it; SQLite allows more than Python's check does.
    """
    while True:
        try:
            return _connected(how, read_only=read_only, waits=waits)
        except sqlite3.Error as error:
            if how.ballast is None or not lacks_room(error) or not how.ballast.give_to_opening():
                raise


def _connected(how: Connecting, *, read_only: bool, waits: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{how.path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=how.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        # Readers never wait for the writer, and a commit is one append and one sync. Changing the
        # mode takes a lock that SQLite does not wait for, as that could be a deadlock.
        patiently(
            lambda: connection.execute("PRAGMA journal_mode = WAL").fetchall(), how.busy_timeout_s
        )
        for setting in (
            # Every commit is synced: an acknowledged upload must survive a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
            f"cache_size = -{how.cache_bytes // 1024}",
            f"wal_autocheckpoint = {how.checkpoint_pages}",
            f"journal_size_limit = {_JOURNAL_BYTES_MAX}",
            f"query_only = {'ON' if read_only else 'OFF'}",
            *([] if waits else ["busy_timeout = 0"]),
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
        # The first look is what opens the log and its index, which may lack room for that.
        patiently(
            lambda: connection.execute("PRAGMA schema_version").fetchall(), how.busy_timeout_s
        )
    except BaseException:
        connection.close()
        raise
    return connection
