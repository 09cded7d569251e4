"""The real service as it is by default, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from juststorage_postgres.testing import postgres_server, postgres_template
from tests.wire.serving import served
from tests.wire.wire import Service

__all__ = ["key", "postgres_server", "postgres_template", "service"]


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A running server."""
    with served(request.param, request, tmp_path_factory.mktemp("schema")) as service:
        yield service


@pytest.fixture(scope="session")
def key(service: Service) -> str:
    """A key of the tenant that the document's examples are about, which is no operator's."""
    asked = {
        "name": "of the tests",
        "tenants": ["acme"],
        "scopes": ["objects:read", "objects:write", "objects:delete", "keys:manage"],
    }
    body = json.dumps(asked).encode()
    answer = service.ask("POST", "/v1/api-keys", "Content-Type: application/json", body=body)
    assert answer.status == 201, answer
    issued: str = answer.json["key"]
    return issued
