"""Connections, and the settings that durability and isolation rest on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Connecting", "connect"]

_JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024


class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect.

    Args:
        path: The file; it exists.
        busy_timeout_s: How long a statement waits for another process's transaction.
        cache_bytes: Page cache of one connection.
        checkpoint_pages: The log is copied into the database once it has this many pages.
    """

    path: Path
    busy_timeout_s: float
    cache_bytes: int
    checkpoint_pages: int


def connect(how: Connecting, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the existing file.

    Transactions are ours alone (`isolation_level=None`). The connection may move between threads,
    because the writer uses it on the event loop and in its thread, one after the other.
    """
    connection = sqlite3.connect(
        f"{how.path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=how.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for setting in (
            # Readers never wait for the writer, and a commit is one append and one sync.
            "journal_mode = WAL",
            # Every commit is synced: an acknowledged upload must survive a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
            f"cache_size = -{how.cache_bytes // 1024}",
            f"wal_autocheckpoint = {how.checkpoint_pages}",
            f"journal_size_limit = {_JOURNAL_BYTES_MAX}",
            f"query_only = {'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
