"""What the tests of this package share: stores on one file, and the raw file behind them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from juststorage.ports import MetadataStore
from juststorage.testing import FakeClock, open_backend
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._prepare import prepare
from juststorage_sqlite.plugin import SQLITE, SqliteOptions

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """JustStorage runs on asyncio."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database file; nobody has made it yet."""
    return tmp_path / "metadata.sqlite3"


@pytest.fixture
def open_store(path: Path, clock: FakeClock) -> OpenStore:
    """Opens a store on the file, as another process would: with connections of its own."""

    def opened(**options: object) -> AbstractAsyncContextManager[MetadataStore]:
        return open_backend(SQLITE, SqliteOptions(path=str(path), **options), clock=clock)  # type: ignore[arg-type]

    return opened


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[MetadataStore]:
    """A store on the file."""
    async with open_store() as store:
        yield store


@pytest.fixture
async def other(store: MetadataStore, open_store: OpenStore) -> AsyncIterator[MetadataStore]:
    """A second store on the same file."""
    async with open_store() as other:
        yield other


@pytest.fixture
def how(path: Path) -> Connecting:
    """How to connect to the file directly."""
    return Connecting(path=path, busy_timeout_s=1.0, cache_bytes=1024 * 1024, checkpoint_pages=1000)


@pytest.fixture
def db(how: Connecting) -> Iterator[sqlite3.Connection]:
    """The file with its tables, through a connection as the store has it."""
    prepare(how, auto_migrate=True)
    with closing(connect(how)) as connection:
        yield connection
