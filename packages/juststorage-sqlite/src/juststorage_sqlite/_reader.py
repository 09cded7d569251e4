"""Readers: threads with connections that only read, beside the writer and never behind it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from juststorage_sqlite._errors import our_errors
from juststorage_sqlite._thread import DatabaseThread

__all__ = ["Reader"]

ResultT = TypeVar("ResultT")


class Reader:
    """Runs reads on whichever of its threads is free.

    Each statement sees the latest committed state as of its start; write one statement, or begin a
    transaction, where several must agree.
    """

    def __init__(self, workers: Sequence[tuple[DatabaseThread, sqlite3.Connection]]) -> None:
        self._free = list(workers)
        self._places = anyio.Semaphore(len(workers))

    async def run(self, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run a read on a thread."""
        async with self._places:
            worker = self._free.pop()
            thread, connection = worker
            try:
                # To its end even when cancelled: the connection is not free before.
                return await thread.run_to_end(lambda: _read(connection, read))
            finally:
                self._free.append(worker)


def _read(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
    with our_errors():
        return read(connection)
