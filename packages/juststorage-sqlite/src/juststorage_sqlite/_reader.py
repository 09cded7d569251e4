"""Readers: threads with connections that only read, beside the writer and never behind it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import anyio

from juststorage.ports import Tracer
from juststorage_sqlite._errors import our_errors
from juststorage_sqlite._thread import DatabaseThread

__all__ = ["Reader", "TracedReader"]

ResultT = TypeVar("ResultT")

_INTERRUPT_EVERY_S: Final = 0.01
_SQLITE: Final = {"db.system.name": "sqlite"}


class Reader:
    """Runs reads on whichever of its threads is free.

    Each statement sees the latest committed state as of its start; write one statement where
    several would have to agree.

    Args:
        workers: Threads with their connections.
        shared: Others use the threads too. Reads must be short then: a cancelled one runs to its
            end, where otherwise it is interrupted, so that a listing nobody waits for any more
            does not keep others waiting. An interrupt hits whatever the connection does just then.
    """

    def __init__(
        self,
        workers: Sequence[tuple[DatabaseThread, sqlite3.Connection]],
        *,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._free = list(workers)
        self._places = anyio.Semaphore(len(workers))

    async def run(self, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run a read on a thread."""
        async with self._places:
            worker = self._free.pop()
            thread, connection = worker
            try:
                if self._shared:
                    return await thread.run_to_end(lambda: _read(connection, read))
                return await thread.run(lambda: _read(connection, read))
            except anyio.get_cancelled_exc_class():
                if not self._shared:
                    await _stop(thread, connection)
                raise
            finally:
                self._free.append(worker)


class TracedReader(Reader):
    """A reader with a span around each read.

    A class of its own, so that one without tracing has not even a question in its way.
    """

    def __init__(
        self,
        workers: Sequence[tuple[DatabaseThread, sqlite3.Connection]],
        tracer: Tracer,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__(workers, shared=shared)
        self._tracer = tracer

    async def run(self, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """As `Reader.run`."""
        with self._tracer.span("read statements", _SQLITE, kind="client"):
            return await super().run(read)


async def _stop(thread: DatabaseThread, connection: sqlite3.Connection) -> None:
    """Interrupt what runs and wait until the thread is free.

    Again and again, because an interrupt between two statements, or just before the first, is lost.
    """

    async def interrupt() -> None:
        while True:
            connection.interrupt()
            await anyio.sleep(_INTERRUPT_EVERY_S)

    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await thread.run(lambda: None)  # its turn comes when the read has ended
            tasks.cancel_scope.cancel()


def _read(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
    with our_errors():
        return read(connection)
