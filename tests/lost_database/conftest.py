"""A PostgreSQL server that a test may stop, and the real `juststorage serve` on it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)
from tests.lost_database.service import KEY

HARNESS = Path(__file__).parents[2] / "packages/juststorage-api/tests/integration/serve/conftest.py"

_spec = importlib.util.spec_from_file_location("juststorage_serve_harness", HARNESS)
assert _spec is not None
assert _spec.loader is not None
_harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_harness)

serve = _harness.serve


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


@pytest.fixture
def environment(url: str, tmp_path: Path) -> dict[str, Any]:
    """What a service on that database, with local files, is configured by."""
    return {
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__URL": url,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(tmp_path / "hot"),
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__CREATE_ROOT": "true",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        # One pool, whose connections a test can count; `--workers` overrides it.
        "JUSTSTORAGE__SERVER__WORKERS": "1",
    }
