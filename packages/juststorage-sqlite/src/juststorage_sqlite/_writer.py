"""The writer: one connection, and transactions that concurrent requests share.

SQLite has one writer at a time, and a durable commit costs a disk sync whoever it is for. So the
requests that wait while one transaction commits share the next: each runs in a savepoint of its
own, and one COMMIT makes all of them durable. A request that fails is rolled back to its savepoint
and fails alone. docs/adr/0011 has the figures.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from juststorage.errors import Unavailable
from juststorage.plugins import Gatherer
from juststorage.ports import Clock
from juststorage_sqlite._errors import our_errors, translated
from juststorage_sqlite._thread import DatabaseThread
from juststorage_sqlite._times import to_micros

__all__ = ["Work", "Writer", "run_batch"]

ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[sqlite3.Connection, int], ResultT]
"""A step of a transaction: reads and writes through the connection at a time in microseconds. It
neither begins nor commits, and runs to its end without awaiting."""


class Writer:
    """Runs work in durable transactions; an async context manager.

    Args:
        thread: Where whatever waits for the disk or for a lock runs.
        connection: Used by nobody else.
        clock: The time that work is given.
        batch_max: Requests that share a transaction, at most.
    """

    def __init__(
        self,
        thread: DatabaseThread,
        connection: sqlite3.Connection,
        clock: Clock,
        *,
        batch_max: int,
    ) -> None:
        self._thread = thread
        self._connection = connection
        self._clock = clock
        # Who holds it has the connection. First come, first served.
        self._turn: Final = asyncio.Lock()
        self._gatherer = Gatherer[Work[Any], Any](self._batch, batch_max=batch_max)

    async def __aenter__(self) -> Self:
        await self._gatherer.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._gatherer.__aexit__(kind, error, trace)

    async def run(self, work: Work[ResultT]) -> ResultT:
        """Run short work in a transaction that it shares.

        Raises:
            Unavailable: The transaction did not commit, or its outcome is unknown.
            BaseException: What `work` raised; then it had no effect.
        """
        return cast("ResultT", await self._gatherer.submit(work))

    async def run_alone(self, work: Work[ResultT]) -> ResultT:
        """Run long work in a transaction of its own, off the event loop."""
        async with self.session() as run:
            return cast("ResultT", await run(work))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Callable[[Work[Any]], Any]]:
        """A transaction that stays open while the caller awaits; nobody else writes meanwhile.

        Commits at the end of the block, rolls back on whatever leaves it otherwise, cancellation
        included.
        """
        async with self._turn:
            run = self._thread.run_to_end
            await run(lambda: _begin(self._connection))
            try:
                yield lambda work: run(lambda: self._step(work))
                await run(lambda: _commit(self._connection))
            except BaseException:
                await run(lambda: _roll_back(self._connection))
                raise

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _step(self, work: Work[ResultT]) -> ResultT:
        with our_errors():
            return work(self._connection, self._now())

    async def _batch(self, works: Sequence[Work[Any]]) -> Sequence[Any]:
        async with self._turn:
            return await self._thread.run_to_end(
                lambda: run_batch(self._connection, works, self._now)
            )


def run_batch(
    connection: sqlite3.Connection, works: Sequence[Work[Any]], now: Callable[[], int]
) -> list[Any]:
    """One transaction for all: each one's result, or the exception that it raised.

    Raises:
        JustStorageError: The transaction as a whole failed; none of them had an effect, or with
            `Unavailable` it is not known whether they had.
    """
    _begin(connection)
    try:
        answers = [_item(connection, work, now()) for work in works]
        _commit(connection)
    except BaseException:
        _roll_back(connection)
        raise
    return answers


def _item(connection: sqlite3.Connection, work: Work[Any], now: int) -> Any:
    """Run one of a batch; its exception is its answer, and takes back what it did."""
    connection.execute("SAVEPOINT item")
    answer: Any
    try:
        answer = work(connection, now)
    except Exception as error:  # noqa: BLE001 - it is handed to the one who asked, unchanged
        answer = error
        if isinstance(error, sqlite3.Error):
            answer = translated(error)
            answer.__cause__ = error
        if not connection.in_transaction:
            # Some failures (disk full, I/O) take the whole transaction with them.
            raise answer from None
        connection.execute("ROLLBACK TO item")
    connection.execute("RELEASE item")
    return answer


def _begin(connection: sqlite3.Connection) -> None:
    with our_errors():
        connection.execute("BEGIN IMMEDIATE")


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # Whatever it was, the answer to the callers is the same: look before you try again.
        raise Unavailable("the metadata database did not confirm the change") from error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with our_errors():
            connection.execute("ROLLBACK")
