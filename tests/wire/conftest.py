"""The real `juststorage serve`, on SQLite and on PostgreSQL, with limits that a test can reach."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from juststorage_postgres.testing import (
    PostgresServer,
    made_database,
    postgres_server,
    postgres_template,
)
from tests.wire.wire import KEY, Service

__all__ = ["postgres_server", "postgres_template", "service", "tenant"]

HARNESS = Path(__file__).parents[2] / "packages/juststorage-api/tests/integration/serve/conftest.py"

_spec = importlib.util.spec_from_file_location("juststorage_serve_harness", HARNESS)
assert _spec is not None
assert _spec.loader is not None
_harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_harness)

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
    """A running server; what it logs is looked through at the end."""
    directory = tmp_path_factory.mktemp("wire")
    config = directory / "juststorage.toml"
    (directory / "data").mkdir()
    with ExitStack() as stack:
        url = "unused"
        if request.param == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            template: str = request.getfixturevalue("postgres_template")
            url = stack.enter_context(made_database(server, template))
        config.write_text(
            f'data_dir = "{directory}/data"\n'
            f'metadata = {{ backend = "{request.param}", postgres = {{ url = "{url}" }} }}\n'
            f'[blobs.hot]\nbackend = "localfs"\nlocalfs = {{ create_root = true }}\n'
            f'[blobs.cold]\nbackend = "localfs"\nlocalfs = {{ create_root = true }}\n'
            f'[auth.api_key]\nbootstrap_key = "{KEY}"\n' + LIMITS
        )
        started = _harness.Server(
            ["--config", str(config), "--port", "0"], dict(os.environ), directory
        )
        stack.callback(started.end)
        started.wait_listening()
        yield Service(started.address[1], str(directory))
        started.process.terminate()
        assert started.wait_exit() == 0
        # Whatever was sent: nothing that nobody expected happened inside.
        failed = [line for line in started.lines if "Traceback" in line or '"status": 500' in line]
        assert not failed, failed


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"t-{secrets.token_hex(8)}"
