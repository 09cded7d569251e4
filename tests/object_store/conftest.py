"""Services and worlds whose blobs are in a bucket of a real S3 server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from juststorage.testing.fixtures import anyio_backend  # noqa: F401
from juststorage_objectstore.testing import (
    FaultyProxy,
    S3Server,
    faulty_proxy,
    pytest_report_header,
    s3_bucket,
    s3_server,
)
from juststorage_postgres.testing import (
    empty_postgres_url,
    postgres_databases,
    postgres_server,
    postgres_template,
    postgres_url,
)
from tests.harness import serve
from tests.races.stores import STORES, Tools
from tests.races.world import World

__all__ = [
    "empty_postgres_url",
    "postgres_databases",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "pytest_report_header",
    "s3_bucket",
    "s3_server",
    "serve",
]


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """A line to the server that fails when told."""
    with faulty_proxy(s3_server.endpoint) as made:
        yield made


@pytest.fixture
def exit_stack() -> Iterator[ExitStack]:
    """Closed when everything that a test opened is closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["sqlite", "postgres"])
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> Tools:
    """The database of a test, empty."""
    return STORES[request.param](tmp_path, request.getfixturevalue)


@pytest.fixture
async def world(
    tools: Tools,
    tmp_path: Path,
    s3_server: S3Server,
    s3_bucket: str,
    proxy: FaultyProxy,
) -> AsyncIterator[World]:
    """A world of races in a bucket, over the line; at its end every promise is checked."""
    table = s3_server.table(s3_bucket, "race", endpoint=proxy.endpoint, retries=0)
    made = World(
        kind=tools.metadata()["backend"],
        config={
            "data_dir": str(tmp_path),
            "metadata": tools.metadata(),
            "blobs": {
                name: {"backend": "objectstore", "objectstore": table} for name in ("hot", "cold")
            },
            "auth": {"chain": []},
        },
        root=tmp_path,
        shared=True,
        tools=tools,
    )
    try:
        yield made
        await made.check()
    finally:
        await made.stop()
