"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from msgspec.structs import replace

from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage.testing import open_backend
from juststorage.testing.fixtures import anyio_backend  # noqa: F401
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_postgres.testing import *  # noqa: F403
from juststorage_postgres.testing import (
    EMPTY,
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
    run_sql,
    running_pgbouncer,
)


class Bouncer(NamedTuple):
    """PgBouncer, and a database with the schema behind it."""

    server: LocalServer
    root: Path
    direct_url: str

    def through(self, url: str) -> str:
        """The URL of a database of the server, through PgBouncer."""
        return url.partition("?")[0] + f"?host={self.root}&port=6432"


OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]


@pytest.fixture(scope="session")
def bouncer(postgres_server: PostgresServer) -> Iterator[Bouncer]:
    """PgBouncer with three connections to the server for each database."""
    with ExitStack() as stack:
        server = postgres_server.local or stack.enter_context(own_server())
        root = stack.enter_context(running_pgbouncer(server, pool_size=3))
        served = PostgresServer(server.url(), "behind PgBouncer", server)
        url = stack.enter_context(made_database(served))
        migrate(url)
        yield Bouncer(server, root, url)


@pytest.fixture
def bouncer_options(bouncer: Bouncer) -> Iterator[PostgresOptions]:
    """Options of a store on an empty database behind PgBouncer."""
    yield PostgresOptions(
        url=Secret(bouncer.through(bouncer.direct_url)), pgbouncer=True, connect_wait_s=0
    )
    # Not as other databases are emptied: ending the connections that PgBouncer holds would make
    # the next test find that out.
    run_sql(bouncer.direct_url, EMPTY)


@pytest.fixture
def open_store(postgres_options: PostgresOptions) -> OpenStore:
    """Opens a store on the test's database, as another process would; options may be changed."""

    @asynccontextmanager
    async def opened(url: str | None = None, **changes: Any) -> AsyncIterator[MetadataStore]:
        if url is not None:
            changes["url"] = Secret(url)
        async with open_backend(POSTGRES, replace(postgres_options, **changes)) as store:
            yield store

    return opened


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[MetadataStore]:
    """A store on the test's database."""
    async with open_store() as opened:
        yield opened


@pytest.fixture
async def other_store(open_store: OpenStore) -> AsyncIterator[MetadataStore]:
    """Another one on the same database."""
    async with open_store() as opened:
        yield opened


@pytest.fixture
async def raw(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, to hold locks and to look behind the scenes."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def watcher(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Another one, to watch who waits while `raw` is in a transaction."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()
