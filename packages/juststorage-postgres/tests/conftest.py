"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

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

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]


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
