"""The real service, on SQLite and on PostgreSQL, with limits that a test can reach."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from juststorage_postgres.testing import postgres_server, postgres_template
from tests.wire.serving import served
from tests.wire.wire import Service

__all__ = ["postgres_server", "postgres_template", "service", "tenant"]

LIMITS = """
[server]
workers = 1
[uploads]
max_bytes = 3_000_000
idle_timeout_s = 0.5
rate_grace_s = 0.5
min_rate_bytes_s = 1000
[limits]
header_bytes = 16_384
header_timeout_s = 1
metadata_bytes = 100
json_bytes = 2048
json_depth = 5
page_size = 60
bulk_ids = 3
ranges = 4
uploads_in_flight = 12
"""


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A running server."""
    with served(request.param, request, tmp_path_factory.mktemp("wire"), LIMITS) as service:
        yield service


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"t-{secrets.token_hex(8)}"
