"""What has to hold over all workers: revocation, rate limits, the audit trail."""

from __future__ import annotations

import http.client
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

LIST = "/v1/objects?tenant_id=acme"
DAY_S = "86400"


class Worker:
    """A connection that stays open, and with it one worker."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def call(
        self, method: str, target: str, key: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """A request: status, fields, body."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self._connection.request(method, target, body=raw, headers={"X-API-Key": key, **fields})
        response = self._connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return response.status, answered, response.read()

    def close(self) -> None:
        """Let it go."""
        self._connection.close()


class Service:
    """Two workers over one data directory, each of them addressed at will."""

    def __init__(self, server: Any, data: Path) -> None:
        self._server = server
        self.data = data
        self.admin = (data / "admin.key").read_text().strip()
        server.wait_workers(2)
        self.workers = self._one_connection_each()

    def _one_connection_each(self) -> list[Worker]:
        # A worker's own request ids begin with digits that no other worker has.
        found: dict[str, Worker] = {}
        deadline = time.monotonic() + 30
        while len(found) < 2:
            assert time.monotonic() < deadline, "no connection reached the second worker"
            worker = Worker(http.client.HTTPConnection(*self._server.address, timeout=30))
            _, fields, _ = worker.call("GET", "/health", "-")
            mark = fields["x-request-id"].partition("-")[0]
            if mark in found:
                worker.close()
            else:
                found[mark] = worker
        return list(found.values())

    def create_key(self, **properties: Any) -> tuple[str, str]:
        """A key that may read and write: its text and its id."""
        asked = {"name": "n", "tenants": ["acme"], "scopes": ["objects:read", "objects:write"]}
        status, _, body = self.workers[0].call(
            "POST",
            "/v1/api-keys",
            self.admin,
            asked | properties,
            content_type="application/json",
        )
        assert status == 201, body
        document = json.loads(body)
        return document["key"], document["id"]

    def rows(self, statement: str) -> list[Any]:
        """What the database has."""
        file = self.data / "metadata.sqlite3"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            return db.execute(statement).fetchall()

    def close(self) -> None:
        """Close the connections."""
        for worker in self.workers:
            worker.close()


@pytest.fixture
def two_workers(serve: Any, tmp_path: Path) -> Any:
    """Starts a service with these settings."""
    opened: list[Service] = []

    def start(**settings: str) -> Service:
        environment = {f"JUSTSTORAGE__{name.upper()}": value for name, value in settings.items()}
        server = serve("--data-dir", "data", "--workers", "2", environment=environment)
        opened.append(Service(server, tmp_path / "data"))
        return opened[-1]

    yield start
    for service in opened:
        service.close()


def accepted(worker: Worker, key: str, attempts: int) -> int:
    """How many of so many requests are let in; the others are 429."""
    statuses = [worker.call("GET", LIST, key)[0] for _ in range(attempts)]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_a_revoked_key_is_refused_by_every_worker(two_workers: Any) -> None:
    """By requests that begin 5 s after, although each of them has its own memory of the key."""
    service = two_workers()
    key, key_id = service.create_key()
    for worker in service.workers:
        assert worker.call("GET", LIST, key)[0] == 200
    assert service.workers[0].call("DELETE", f"/v1/api-keys/{key_id}", service.admin)[0] == 204
    deadline = time.monotonic() + 5
    waiting = list(service.workers)
    while waiting:
        begun = time.monotonic()
        waiting = [worker for worker in waiting if worker.call("GET", LIST, key)[0] == 200]
        assert not waiting or begun < deadline, f"{len(waiting)} workers still accept it"


def test_limits_of_each_process(two_workers: Any) -> None:
    """Unless they are shared, each worker has the whole limit, and no more than that."""
    service = two_workers(rate_limits__window_s=DAY_S, rate_limits__requests_per_key="10")
    key, _ = service.create_key()
    assert [accepted(worker, key, 15) for worker in service.workers] == [10, 10]


def test_limits_that_are_shared(two_workers: Any) -> None:
    """What one worker let in the others know after a sync: then all of them refuse."""
    service = two_workers(
        rate_limits__window_s=DAY_S,
        rate_limits__requests_per_key="10",
        rate_limits__shared="true",
        rate_limits__sync_s="0.1",
    )
    key, key_id = service.create_key()
    one, two = service.workers
    assert accepted(one, key, 15) == 10
    told = f"SELECT sum(amount) FROM tallies WHERE name = 'kr:api_key:{key_id}'"
    deadline = time.monotonic() + 20
    while service.rows(told) != [(10,)]:
        assert time.monotonic() < deadline, "the first worker did not tell"
    let_in = 0
    while two.call("GET", LIST, key)[0] == 200:
        let_in += 1
        assert let_in <= 10, "the second worker goes beyond its own limit"
        assert time.monotonic() < deadline
        # Leave the second worker time to hear of it, as clients do that are not in a hurry.
        while service.rows(told) == [(9 + let_in,)]:
            assert time.monotonic() < deadline
    assert let_in < 10
    assert accepted(one, key, 3) == 0


def test_the_audit_table_of_two_workers(two_workers: Any) -> None:
    """Each change has its row, with who made it and under which request, whoever served it."""
    service = two_workers(audit__table="true")
    key, key_id = service.create_key()
    expected = set()
    for number, worker in enumerate(service.workers * 3):
        request_id = f"request-of-{number}"
        url = f"/v1/objects/by-key/ns/acme/k{number}"
        status, _, body = worker.call("PUT", url, key, b"x%d" % number, x_request_id=request_id)
        assert status == 201
        object_id = json.loads(body)["id"]
        expected.add(("object.created", f"api_key:{key_id}", request_id, object_id, "acme"))
    events = service.rows("SELECT action, subject, request_id, target, tenant_id FROM audit_events")
    assert set(events) >= expected
    assert [each[0] for each in events].count("object.created") == len(expected)
    assert any(each[0] == "api_key.created" and each[3] == key_id for each in events)
    file = service.data / "metadata.sqlite3"
    with closing(sqlite3.connect(file)) as db:
        for statement in ("UPDATE audit_events SET subject = 'me'", "DELETE FROM audit_events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)
