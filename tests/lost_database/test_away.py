"""A database that goes away under a running service, and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from juststorage_postgres.testing import LocalServer, run_sql
from tests.lost_database.service import OBJECTS, Answer, ask, is_unavailable, until

STATEMENT_TIMEOUT_S = 2.0
ANSWERED_S = STATEMENT_TIMEOUT_S + 3.0
"""The statement timeout, half a second for the server's report of it, one for a look whether the
server is silent, and something for a busy machine."""

RECOVERED_S = 5.0

TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""

SERVICE = "application_name = 'juststorage'"
COUNT_SERVICE = f"SELECT count(*) FROM pg_stat_activity WHERE {SERVICE}"
TERMINATE_SERVICE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {SERVICE}"

CALLS = {
    "read": ("GET", f"{OBJECTS}/kept", None),
    "read by id": ("GET", "/v1/objects/{id}?tenant_id=acme", None),
    "head": ("HEAD", f"{OBJECTS}/kept", None),
    "describe": ("GET", "/v1/objects/{id}/metadata?tenant_id=acme", None),
    "list": ("GET", "/v1/objects?tenant_id=acme", None),
    "upload": ("PUT", f"{OBJECTS}/other", b"other"),
    "upload stored bytes": ("PUT", f"{OBJECTS}/other", b"kept"),
    "upload a large body": ("PUT", f"{OBJECTS}/other", b"x" * 3_000_000),
    "delete": ("DELETE", f"{OBJECTS}/kept", None),
}


@pytest.fixture
def service(serve: Any, environment: dict[str, str]) -> Iterator[Any]:
    """A service that has stored one object, as `kept`."""
    environment["JUSTSTORAGE__METADATA__POSTGRES__STATEMENT_TIMEOUT_S"] = str(STATEMENT_TIMEOUT_S)
    started = serve(environment=environment)
    assert ask(started, "PUT", f"{OBJECTS}/kept", b"kept").status == 201
    yield started
    assert started.stop() == 0


REFUSALS = 20
"""So many attempts in a row must be refused until no place is left that somebody could take."""


@contextmanager
def every_connection(url: str) -> Iterator[None]:
    """Hold every connection that the server grants, those of the service too."""

    async def hold(told: threading.Event, over: threading.Event) -> None:
        held: list[asyncpg.Connection] = []
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                held.append(await asyncpg.connect(url))
        # The service may come back between the end of its connections and our next one; and one
        # that ends is gone from the list a little before its place is free.
        refused = 0
        while refused < REFUSALS:
            await held[0].execute(TERMINATE_SERVICE)
            try:
                held.append(await asyncpg.connect(url))
                refused = 0
            except asyncpg.TooManyConnectionsError:
                refused = 0 if await held[0].fetchval(COUNT_SERVICE) else refused + 1
        told.set()
        await asyncio.to_thread(over.wait)
        for connection in held:
            connection.terminate()

    told, over = threading.Event(), threading.Event()
    holder = threading.Thread(target=lambda: asyncio.run(hold(told, over)))
    holder.start()
    try:
        assert told.wait(30)
        yield
    finally:
        over.set()
        holder.join()


@contextmanager
def frozen(server: LocalServer) -> Iterator[None]:
    """Stop all processes of the server where they stand."""
    postmaster = int((server.root / "data/postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    pids = [postmaster, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def call_all(service: Any, object_id: str) -> dict[str, Answer]:
    """Every kind of call, one after the other."""
    return {
        name: ask(service, method, target.format(id=object_id), body)
        for name, (method, target, body) in CALLS.items()
    }


def id_of(service: Any) -> str:
    """The id of `kept`."""
    return str(ask(service, "HEAD", f"{OBJECTS}/kept").headers["x-object-id"])


def works(service: Any) -> bool:
    """Whether it is ready, reads what it had, and stores what is new."""
    return (
        ask(service, "GET", "/health/ready").status == 200
        and ask(service, "GET", f"{OBJECTS}/kept").body == b"kept"
        and ask(service, "PUT", f"{OBJECTS}/new", b"new").status in {200, 201}
    )


def test_stopped_and_started(service: Any, server: LocalServer) -> None:
    """Everything is 503 and says when to return, at once; nothing needs a restart afterwards."""
    object_id = id_of(service)
    server.stop("immediate")
    try:
        ready = ask(service, "GET", "/health/ready")
        assert is_unavailable(ready)
        assert "metadata" in ready.problem["detail"]
        failing = [part["name"] for part in ready.problem["parts"] if not part["ok"]]
        assert failing == ["metadata", "metadata/migrations"]
        assert ask(service, "GET", "/health").status == 200
        for name, answer in call_all(service, object_id).items():
            assert is_unavailable(answer, has_body=name != "head"), (name, answer)
            assert answer.took_s < ANSWERED_S, (name, answer)
    finally:
        server.start()
    until(lambda: works(service), RECOVERED_S, "the service works again")


class Crowd:
    """Clients that store and read without a pause, and keep what they were promised."""

    def __init__(self, service: Any, clients: int) -> None:
        self.seen: Counter[int] = Counter()
        self.slowest_s = 0.0
        self.wrong: list[Answer] = []
        self.promised: dict[str, bytes] = {}
        self._service = service
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: int) -> None:
        turn = 0
        while not self._over.is_set():
            turn += 1
            name, body = f"{client}/{turn}", b"%d %d" % (client, turn)
            stored = ask(self._service, "PUT", f"{OBJECTS}/{name}", body)
            if stored.status == 201:
                self.promised[name] = body
            self._note(stored)
            self._note(ask(self._service, "GET", f"{OBJECTS}/kept"))

    def _note(self, answer: Answer) -> None:
        with self._lock:
            self.seen[answer.status] += 1
            self.slowest_s = max(self.slowest_s, answer.took_s)
            if answer.status not in {200, 201} and not is_unavailable(answer):
                self.wrong.append(answer)

    def broken(self) -> list[str]:
        """Promised objects that are not there as they were promised."""
        return [
            name
            for name, body in self.promised.items()
            if ask(self._service, "GET", f"{OBJECTS}/{name}").body != body
        ]


def test_a_crash_under_load(service: Any, server: LocalServer) -> None:
    """Only 503 while it is away, never slow; what was acknowledged is there afterwards."""
    with Crowd(service, 8) as crowd:
        for _ in range(2):
            until(lambda: crowd.seen[201] > 20, 30, "uploads succeed")
            server.stop("immediate")
            until(lambda: crowd.seen[503] > 20, 30, "uploads fail")
            server.start()
            crowd.seen.clear()
            until(lambda: works(service), RECOVERED_S, "the service works again")
    assert crowd.wrong == []
    assert crowd.slowest_s < ANSWERED_S
    assert crowd.broken() == []


def test_terminated_connections(service: Any, url: str) -> None:
    """Connections that are ended again and again cost single requests, and no promise."""
    with Crowd(service, 8) as crowd:
        for _ in range(20):
            before = crowd.seen[201]
            run_sql(url, TERMINATE)
            until(lambda before=before: crowd.seen[201] > before, RECOVERED_S, "uploads go on")
    assert crowd.wrong == []
    assert crowd.slowest_s < ANSWERED_S
    assert works(service)
    assert crowd.broken() == []


def test_no_connection_is_left(service: Any, url: str) -> None:
    """Others use up `max_connections`: 503 while the service has none, and no longer."""
    object_id = id_of(service)
    with every_connection(url):
        ready = ask(service, "GET", "/health/ready")
        assert is_unavailable(ready)
        assert "metadata" in ready.problem["detail"]
        for name, answer in call_all(service, object_id).items():
            assert is_unavailable(answer, has_body=name != "head"), (name, answer)
            assert answer.took_s < ANSWERED_S, (name, answer)
    until(lambda: works(service), RECOVERED_S, "the service works again")


def test_a_server_that_is_frozen(service: Any, server: LocalServer) -> None:
    """Silence ends like an error: within the statement timeout, also with requests in a queue."""
    object_id = id_of(service)
    with frozen(server), Crowd(service, 8) as crowd:
        assert is_unavailable(ask(service, "GET", "/health/ready"))
        for name, answer in call_all(service, object_id).items():
            assert is_unavailable(answer, has_body=name != "head"), (name, answer)
            assert answer.took_s < ANSWERED_S, (name, answer)
    assert crowd.wrong == []
    assert crowd.slowest_s < ANSWERED_S
    until(lambda: works(service), RECOVERED_S, "the service works again")
