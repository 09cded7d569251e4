"""Reads beside the writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator

import anyio
import pytest

from juststorage.errors import Unavailable
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._thread import DatabaseThread

FOR_EVER = (
    "WITH RECURSIVE numbers(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM numbers)"
    " SELECT count(*) FROM numbers"
)

COUNT_TO_MANY = (
    "WITH RECURSIVE numbers(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM numbers WHERE x < 100000)"
    " SELECT x FROM numbers"
)


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    """A reader with one thread."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    async with DatabaseThread("test") as thread:
        yield Reader([(thread, connection)])
    connection.close()


async def test_a_cancelled_read_is_interrupted(reader: Reader) -> None:
    """A statement that would never end does, when nobody waits for it, and the thread is free."""
    started = anyio.Event()
    async with anyio.create_task_group() as tasks:

        def read(db: sqlite3.Connection) -> object:
            anyio.from_thread.run_sync(started.set, token=token)
            return db.execute(FOR_EVER).fetchone()

        token = anyio.lowlevel.current_token()
        tasks.start_soon(reader.run, read)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert await reader.run(lambda db: db.execute("SELECT 1").fetchone()) == (1,)


async def test_a_failed_read_is_ours(reader: Reader) -> None:
    """What SQLite raises is translated, and the thread is free again."""
    with pytest.raises(Unavailable):
        await reader.run(lambda db: db.execute("SELECT * FROM nothing"))
    assert await reader.run(lambda db: db.execute("SELECT 1").fetchone()) == (1,)


async def test_reads_wait_for_a_free_thread(reader: Reader) -> None:
    """More reads than threads all get their turn."""
    found: list[int] = []

    async def read(number: int) -> None:
        found.append(await reader.run(lambda db: db.execute("SELECT ?", (number,)).fetchone()[0]))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(read, number)
    assert sorted(found) == list(range(20))


async def test_a_shared_thread_is_never_interrupted() -> None:
    """A read that is cancelled while it waits does not end somebody else's that runs."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    gate = threading.Event()

    def slow() -> object:
        gate.wait()
        return connection.execute("SELECT count(*) FROM (" + COUNT_TO_MANY + ")").fetchone()

    found: list[object] = []

    async def use() -> None:
        found.append(await thread.run(slow))

    async with DatabaseThread("test") as thread, anyio.create_task_group() as tasks:
        reader = Reader([(thread, connection)], shared=True)
        tasks.start_soon(use)
        await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(reader.run, lambda db: db.execute("SELECT 1").fetchone())
            await anyio.lowlevel.checkpoint()
            cancelled.cancel_scope.cancel()
            gate.set()
    assert found == [(100_000,)]
    connection.close()
