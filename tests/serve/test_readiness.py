"""Readiness of a server on PostgreSQL: a database is one part, its migrations are another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from juststorage_postgres.testing import postgres_server, postgres_template, run_sql
from tests.wire.serving import served
from tests.wire.wire import Service

__all__ = ["postgres_server", "postgres_template"]


@pytest.fixture
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str]]:
    """It, and the URL of its database."""
    folder = tmp_path_factory.mktemp("ready")
    with served("postgres", request, folder) as running:
        [url] = [
            part.partition('"')[0]
            for part in (folder / "juststorage.toml").read_text().split('url = "')[1:]
        ]
        yield running, url


def test_migrations_are_a_part_of_their_own(service: tuple[Service, str]) -> None:
    """A database that answers with an older schema is told from one that is away, and measured."""
    running, url = service

    def parts(status: int) -> dict[str, dict[str, Any]]:
        answer = running.ask("GET", "/health/ready")
        assert answer.status == status
        return {each["name"]: each for each in json.loads(answer.body)["parts"]}

    well = parts(200)
    for name in ("metadata", "metadata/migrations", "blobs.hot", "blobs.hot/space"):
        assert well[name]["ok"] is True
        assert well[name]["latency_ms"] > 0
    assert running.ask("GET", "/health/startup").status == 200
    run_sql(url, "UPDATE juststorage_version SET version_num = '0000'")
    ill = parts(503)
    assert ill["metadata"]["ok"] is True
    assert ill["metadata/migrations"]["ok"] is False
    assert "run `juststorage migrate up`" in ill["metadata/migrations"]["detail"]
    assert ill["metadata/migrations"]["latency_ms"] > 0
    assert running.ask("GET", "/health").status == 200, "it lives"
