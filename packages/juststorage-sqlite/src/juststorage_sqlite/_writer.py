"""The writer: one connection, and transactions that concurrent requests share.

SQLite has one writer at a time, and a durable commit costs a disk sync whoever it is for. So the
requests that wait while one transaction commits share the next: each runs in a savepoint of its
own, and one COMMIT makes all of them durable. A request that fails is rolled back to its savepoint
and fails alone.

A transaction is one job in the writer's thread, from BEGIN to COMMIT. Running its statements on the
event loop, and only COMMIT in the thread, was tried: it spares the thread the fight for the
interpreter lock after each statement, and gains nothing that could be measured behind a real
server, while a page that has to come from the disk stops every request. docs/adr/0011 has figures.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from juststorage.errors import StorageFull
from juststorage.plugins import Gatherer
from juststorage.ports import Clock, Tracer
from juststorage_sqlite._audit import Acting
from juststorage_sqlite._ballast import Ballast
from juststorage_sqlite._connection import patiently
from juststorage_sqlite._errors import commit_failure, lacks_room, our_errors, translated
from juststorage_sqlite._thread import DatabaseThread
from juststorage_sqlite._times import to_micros
from juststorage_sqlite._turnstile import Turnstile

__all__ = ["Session", "Work", "Writer"]

ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[sqlite3.Connection, int], ResultT]
"""A step of a transaction: reads and writes through the connection at a time in microseconds. It
neither begins nor commits, and runs to its end without awaiting."""


class Session:
    """A transaction under way, as `Writer.session` yields it."""

    def __init__(
        self, thread: DatabaseThread, connection: sqlite3.Connection, now: Callable[[], int]
    ) -> None:
        self._thread = thread
        self._connection = connection
        self._now = now

    async def run(self, work: Work[ResultT]) -> ResultT:
        """Run work in the thread, to its end even when cancelled."""
        return await self._thread.run_to_end(lambda: self._work(work))

    def _work(self, work: Work[ResultT]) -> ResultT:
        with our_errors():
            return work(self._connection, self._now())


class Writer:
    """Runs work in durable transactions; an async context manager.

    Args:
        thread: Where all of it runs.
        connection: Used by nobody else. It does not wait by itself for other processes: the writer
            does, with shorter pauses.
        clock: The time that work is given.
        batch_max: Requests that share a transaction, at most.
        busy_timeout_s: How long to wait for another process's transaction.
        turnstile: Orders the transactions of all processes.
        ballast: What the log gets when the disk is full; None for nothing.
        acting: Told in whose name each work is done, where changes are recorded.
        tracer: Makes a span of each shared transaction; None for none.
    """

    def __init__(
        self,
        thread: DatabaseThread,
        connection: sqlite3.Connection,
        clock: Clock,
        *,
        batch_max: int,
        busy_timeout_s: float,
        turnstile: Turnstile,
        ballast: Ballast | None = None,
        acting: Acting | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._thread = thread
        self._connection = connection
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._turnstile = turnstile
        self._ballast = ballast
        self._acting = acting
        # Who holds it has the connection. First come, first served.
        self._turn: Final = asyncio.Lock()
        self._gatherer = Gatherer[Work[Any], Any](
            self._batch,
            batch_max=batch_max,
            tracer=tracer,
            name="write transaction",
            attributes={"db.system.name": "sqlite"},
        )

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

    @property
    def depth(self) -> int:
        """Works that wait for a transaction."""
        return self._gatherer.depth

    async def run(self, work: Work[ResultT]) -> ResultT:
        """Run short work in a transaction that it shares.

        Raises:
            Unavailable: The transaction did not begin, or did not confirm that it committed.
            BaseException: What `work` raised; then it had no effect.
        """
        return cast("ResultT", await self._gatherer.submit(self._bound(work)))

    def adding(self, work: Work[ResultT]) -> Work[ResultT]:
        """The work, as what stores more: refused while the ballast is in use.

        Raises:
            StorageFull: From the work; the room that is left is for deleting and collecting.
        """
        ballast = self._ballast
        if ballast is None:
            return work

        def added(db: sqlite3.Connection, now: int) -> ResultT:
            if ballast.in_use:
                ballast.need_room()
            return work(db, now)

        return added

    def _bound(self, work: Work[ResultT]) -> Work[ResultT]:
        """The work, in the name of whoever asks for it here and now."""
        return work if self._acting is None else self._acting.bound(work)

    async def run_alone(self, work: Work[ResultT]) -> ResultT:
        """Run long work in a transaction of its own, off the event loop."""
        bound = self._bound(work)
        try:
            async with self.session() as session:
                result = await session.run(bound)
        except StorageFull:
            if not self._can_give():
                raise
            async with self.session(in_need=True) as session:
                result = await session.run(bound)
        return result

    @asynccontextmanager
    async def session(self, *, in_need: bool = False) -> AsyncIterator[Session]:
        """A transaction that stays open while the caller awaits; nobody else writes meanwhile.

        Commits at the end of the block, rolls back on whatever leaves it otherwise, cancellation
        included. As it cannot be done again, it gets the ballast where little room is left; in
        need, at any rate.
        """
        async with self._turn:
            run = self._thread.run_to_end
            try:
                await run(lambda: self._begin_long(in_need=in_need))
                yield Session(self._thread, self._connection, self._now)
                await run(lambda: _commit(self._connection))
            except BaseException:
                await run(lambda: _roll_back(self._connection))
                raise
            finally:
                await run(self._turnstile.leave)

    async def _batch(self, works: Sequence[Work[Any]]) -> Sequence[Any]:
        async with self._turn:
            return await self._thread.run_to_end(lambda: self._transaction(works))

    def _can_give(self) -> bool:
        """Whether what found the disk full may find room if it is done again."""
        return self._ballast is not None and self._ballast.can_give()

    def _begin_long(self, *, in_need: bool) -> None:
        ballast = self._ballast
        self._begin(in_need=in_need or (ballast is not None and ballast.is_tight()))

    def _begin(self, *, in_need: bool = False) -> None:
        """Begin once no other process writes; in need, with the room of the ballast."""
        self._turnstile.enter(self._busy_timeout_s)
        begins_anew = in_need and self._grow_database()
        with our_errors():
            # Migrations, backups and other people's tools do not know the turnstile.
            patiently(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._busy_timeout_s)
        if in_need and self._ballast is not None:
            self._ballast.give_to_log(begins_anew=begins_anew)

    def _grow_database(self) -> bool:
        """Copy the log into the database with some of the ballast; whether all of it was copied."""
        if self._ballast is None:
            return False
        ask = self._connection.execute
        with suppress(sqlite3.Error):  # another one copies, or somebody was faster
            ((pages,), (page_bytes,)) = (
                ask(f"PRAGMA {fact}").fetchone() for fact in ("page_count", "page_size")
            )
            self._ballast.give_to_database(pages * page_bytes)
            busy, in_log, copied = ask("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return not busy and in_log == copied
        return False

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _transaction(self, works: Sequence[Work[Any]]) -> list[Any]:
        """One transaction for all: each one's result, or the exception that it raised.

        Where the disk is full it is done once more, with the room of the ballast.

        Raises:
            JustStorageError: The transaction failed as a whole.
        """
        try:
            return self._attempt(works)
        except StorageFull:
            if not self._can_give():
                raise
        return self._attempt(works, in_need=True)

    def _attempt(self, works: Sequence[Work[Any]], *, in_need: bool = False) -> list[Any]:
        try:
            self._begin(in_need=in_need)
            with our_errors():
                answers = [self._item(work) for work in works]
            _commit(self._connection)
        except BaseException:
            _roll_back(self._connection)
            raise
        finally:
            self._turnstile.leave()
        return answers

    def _item(self, work: Work[Any]) -> Any:
        """Run one of a batch; its exception is its answer, and takes back what it did."""
        connection = self._connection
        connection.execute("SAVEPOINT item")
        answer: Any
        try:
            answer = work(connection, self._now())
        except Exception as error:
            answer = error
            if isinstance(error, sqlite3.Error):
                answer = translated(error)
                answer.__cause__ = error
            if not connection.in_transaction:
                # Some failures (disk full, I/O) take the whole transaction with them.
                raise answer from answer.__cause__
            if isinstance(error, sqlite3.Error) and lacks_room(error) and self._can_give():
                raise answer from error  # all of it is done again, with more room
            connection.execute("ROLLBACK TO item")
        connection.execute("RELEASE item")
        return answer


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise commit_failure(error) from error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with our_errors():
            connection.execute("ROLLBACK")
