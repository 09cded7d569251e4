"""A PostgreSQL server that the tests of one module may stop, as pytest fixtures.

Import them in a module or its `conftest.py`:

    from juststorage_postgres.testing.stoppable import *  # noqa: F403
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)

__all__ = ["server", "template", "url"]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """The server of one module; every test leaves it running."""
    with own_server() as server:
        yield server


@pytest.fixture(scope="module")
def template(server: LocalServer) -> Iterator[str]:
    """A database with the schema on it."""
    with made_database(PostgresServer(server.url(), "own", server)) as url:
        migrate(url)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def url(server: LocalServer, template: str) -> Iterator[str]:
    """A database with the schema and nothing in it."""
    with made_database(PostgresServer(server.url(), "own", server), template) as url:
        yield url
