"""PostgreSQL for tests, as pytest fixtures.

Import them in a `conftest.py`:

    from juststorage_postgres.testing import *  # noqa: F403

Each worker of pytest-xdist has a server of its own, started when the first test asks for it and
stopped with the worker; each test has a database of its own, made from a template. Needs pytest.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
import pytest

from juststorage.plugins import Secret
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._schema import metadata
from juststorage_postgres.testing._bouncer import bouncer_source, running_pgbouncer
from juststorage_postgres.testing._server import LocalServer, local_server
from juststorage_postgres.testing._sources import (
    PostgresServer,
    found_binaries,
    running_server,
    source,
)

__all__ = [
    "EMPTY",
    "LocalServer",
    "PostgresServer",
    "empty_postgres_url",
    "made_database",
    "migrate",
    "own_server",
    "postgres_databases",
    "postgres_options",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "pytest_report_header",
    "run_sql",
    "running_pgbouncer",
]

_HANG_UP: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""

EMPTY: Final = f"TRUNCATE {', '.join(metadata.tables)}"
"""Empties every table of the schema."""


def pytest_report_header() -> list[str]:
    """Say which PostgreSQL the tests run on, and which PgBouncer."""
    return [f"postgresql: {source()}", f"pgbouncer: {bouncer_source()}"]


def run_sql(url: str, *statements: str) -> None:
    """Run statements one after the other, each in a transaction of its own."""

    async def run() -> None:
        # Whoever fills a database with a million rows knows how long that takes.
        connection = await asyncpg.connect(url, timeout=30)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    _finish(run)


def _finish(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run to the end in a thread of its own: the caller's may have a loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


@contextmanager
def made_database(server: PostgresServer, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, dropped at the end, whoever is connected.

    On a server of our own it is left to the end of the server, which is quicker.
    """
    name = f"juststorage_{secrets.token_hex(6)}"
    run_sql(server.admin_url, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
    try:
        yield server.url(name)
    finally:
        if server.local is None:
            run_sql(server.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def migrate(url: str) -> None:
    """Bring the schema of a database to the head."""
    from juststorage_postgres._migrator import PostgresMigrator

    PostgresMigrator(PostgresOptions(url=Secret(url))).up()


@contextmanager
def own_server(replica_of: LocalServer | None = None) -> Iterator[LocalServer]:
    """A server for one test alone, which it may stop, start and fill.

    Args:
        replica_of: Make it a read-only replica of this one.

    Raises:
        RuntimeError: There are no server binaries on this machine.
    """
    found = found_binaries()
    if found is None:
        raise RuntimeError("a test that stops its server needs server binaries on this machine")
    with local_server(found[0], replica_of=replica_of) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this run of tests."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with the newest schema, to make others from."""
    with made_database(postgres_server) as url:
        migrate(url)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database without a schema."""
    with made_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_databases(
    postgres_server: PostgresServer, postgres_template: str
) -> Iterator[Callable[[], AbstractContextManager[str]]]:
    """Lends databases with the newest schema and nothing in them.

    Making one takes a tenth of a second, emptying one a tenth of that: what a test gives back goes
    to the next one, unless that test has damaged it.
    """
    free: list[str] = []
    with ExitStack() as stack:

        @contextmanager
        def lend() -> Iterator[str]:
            if not free:
                free.append(stack.enter_context(made_database(postgres_server, postgres_template)))
            url = free.pop()
            yield url
            with suppress(asyncpg.PostgresError):
                run_sql(url, _HANG_UP, EMPTY)
                free.append(url)

        yield lend


@pytest.fixture
def postgres_url(
    postgres_databases: Callable[[], AbstractContextManager[str]],
) -> Iterator[str]:
    """The URL of a database with the newest schema and nothing in it, this test's alone."""
    with postgres_databases() as url:
        yield url


@pytest.fixture
def postgres_options(postgres_url: str) -> PostgresOptions:
    """Options of the `postgres` metadata store on an empty database."""
    return PostgresOptions(url=Secret(postgres_url), connect_wait_s=0)
