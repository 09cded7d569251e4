"""Transactions that requests share."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from juststorage.errors import Corrupt, NotFound, StorageFull, Unavailable
from juststorage.testing import FakeClock
from juststorage_sqlite._thread import DatabaseThread
from juststorage_sqlite._turnstile import Turnstile
from juststorage_sqlite._writer import Work, Writer


class Statements(list[str]):
    """What the connection was told."""

    def count_of(self, word: str) -> int:
        """How many statements start with the word."""
        return sum(each.startswith(word) for each in self)


@pytest.fixture
def connection(path: Path) -> sqlite3.Connection:
    """A connection that does not wait, and a table."""
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("CREATE TABLE t (x INTEGER PRIMARY KEY CHECK (x >= 0))")
    return made


@pytest.fixture
def told(connection: sqlite3.Connection) -> Statements:
    """Every statement from here on."""
    told = Statements()
    connection.set_trace_callback(told.append)
    return told


@pytest.fixture
def turnstile(path: Path) -> Iterator[Turnstile]:
    """The turnstile beside the file."""
    with closing(Turnstile.beside(path)) as turnstile:
        yield turnstile


@pytest.fixture
async def writer(
    connection: sqlite3.Connection, clock: FakeClock, turnstile: Turnstile
) -> AsyncIterator[Writer]:
    """A writer on the connection."""
    async with (
        DatabaseThread("test") as thread,
        Writer(
            thread, connection, clock, batch_max=10, busy_timeout_s=0.05, turnstile=turnstile
        ) as writer,
    ):
        yield writer
    connection.close()


def insert(number: int) -> Work[int]:
    """Work that inserts a row; below zero breaks a constraint."""

    def work(db: sqlite3.Connection, now: int) -> int:
        db.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


def insert_then_raise(number: int) -> Work[None]:
    """Work that fails after it has changed something."""

    def work(db: sqlite3.Connection, now: int) -> None:
        db.execute("INSERT INTO t VALUES (?)", (number,))
        raise NotFound("changed my mind")

    return work


def rows(path: Path) -> list[int]:
    """What another process sees."""
    with closing(sqlite3.connect(path)) as other:
        return [x for (x,) in other.execute("SELECT x FROM t ORDER BY x")]


async def answers(writer: Writer, *works: Work[object]) -> list[object]:
    """What each work answered, all of them asked at once."""
    found: list[object] = [None] * len(works)

    async def ask(number: int, work: Work[object]) -> None:
        try:
            found[number] = await writer.run(work)
        except Exception as error:  # noqa: BLE001 - the answer is compared
            found[number] = error

    async with anyio.create_task_group() as tasks:
        for number, work in enumerate(works):
            tasks.start_soon(ask, number, work)
    return found


async def test_requests_that_wait_share_a_transaction(
    writer: Writer, told: Statements, path: Path
) -> None:
    """Ten requests at once cost one commit."""
    assert await answers(writer, *(insert(number) for number in range(10))) == list(range(10))
    assert told.count_of("COMMIT") == 1
    assert rows(path) == list(range(10))


async def test_a_batch_has_a_limit(writer: Writer, told: Statements) -> None:
    """More than batch_max requests take more than one transaction."""
    await answers(writer, *(insert(number) for number in range(25)))
    assert told.count_of("COMMIT") == 3


async def test_a_failure_stays_with_its_request(
    writer: Writer, told: Statements, path: Path
) -> None:
    """What one request raises takes back its own changes, and none of its neighbours'."""
    one, gone, broken, two = await answers(
        writer, insert(1), insert_then_raise(2), insert(-1), insert(3)
    )
    assert (one, two) == (1, 3)
    assert isinstance(gone, NotFound)
    assert isinstance(broken, Corrupt)
    assert isinstance(broken.__cause__, sqlite3.IntegrityError)
    assert rows(path) == [1, 3]
    assert told.count_of("COMMIT") == 1


async def test_a_lost_transaction_is_lost_for_all(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    """When the disk is full every request of the batch says so, and none had an effect."""

    def too_much(db: sqlite3.Connection, now: int) -> None:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        db.execute("CREATE TABLE big AS SELECT zeroblob(100000)")

    found = await answers(writer, insert(1), too_much, insert(2))
    assert any(isinstance(each, StorageFull) for each in found)
    connection.execute("PRAGMA max_page_count = 100000")
    assert await answers(writer, insert(5)) == [5]
    kept = [each for each in found if isinstance(each, int)]
    assert rows(path) == [*kept, 5]


async def test_a_file_that_another_process_holds_is_unavailable(writer: Writer, path: Path) -> None:
    """After the timeout the caller is told to come back, and the next try works."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="busy"):
            await writer.run(insert(1))
        other.execute("COMMIT")
    assert await writer.run(insert(1)) == 1


async def test_waits_for_another_process(writer: Writer, path: Path) -> None:
    """A lock that goes away within the timeout is only a delay, and the event loop runs on."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run, insert(1))
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            other.execute("COMMIT")
    assert rows(path) == [1]


async def test_a_session_keeps_others_out(writer: Writer, path: Path) -> None:
    """Requests wait while a session awaits, and then see what it did."""
    order: list[str] = []

    async def ask() -> None:
        await writer.run(insert(2))
        order.append("request")

    async with anyio.create_task_group() as tasks, writer.session() as session:
        await session.run(insert(1))
        tasks.start_soon(ask)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert rows(path) == []
        order.append("session")
    assert order == ["session", "request"]
    assert rows(path) == [1, 2]


async def test_a_session_that_fails_rolls_back(writer: Writer, path: Path) -> None:
    """Whatever leaves the block, nothing of it stays, and the writer goes on."""

    async def fail() -> None:
        async with writer.session() as session:
            await session.run(insert(1))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await writer.run(insert(2))
    assert rows(path) == [2]


async def test_a_cancelled_session_rolls_back(writer: Writer, path: Path) -> None:
    """Cancellation while the session awaits leaves no transaction behind."""
    with anyio.CancelScope() as scope:
        async with writer.session() as session:
            await session.run(insert(1))
            scope.cancel()
            await anyio.sleep_forever()
    await writer.run(insert(2))
    assert rows(path) == [2]


async def test_a_cancelled_request_leaves_the_writer_usable(writer: Writer, path: Path) -> None:
    """A caller that goes away takes nobody with it."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writer.run(insert(1))
    assert await writer.run(insert(2)) == 2


async def test_a_closed_writer_says_so(
    connection: sqlite3.Connection, clock: FakeClock, turnstile: Turnstile
) -> None:
    """Requests after the end are refused, not lost in silence."""
    async with DatabaseThread("test") as thread:
        async with Writer(
            thread, connection, clock, batch_max=10, busy_timeout_s=0.05, turnstile=turnstile
        ) as writer:
            pass
        with pytest.raises(Unavailable):
            await writer.run(insert(1))
    connection.close()
