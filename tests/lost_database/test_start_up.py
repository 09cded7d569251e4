"""A service that starts before its database: it waits, says so, and not for ever."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from juststorage_postgres.testing import LocalServer
from tests.lost_database.service import OBJECTS, ask

WAIT = "JUSTSTORAGE__METADATA__POSTGRES__CONNECT_WAIT_S"
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def stopped(url: str, server: LocalServer) -> Iterator[LocalServer]:
    """The server, stopped after the test's database was made."""
    server.stop("immediate")
    yield server
    if not server.is_running():
        server.start()


@WORKERS
def test_it_waits(
    serve: Any, environment: dict[str, str], stopped: LocalServer, workers: str
) -> None:
    """While it waits it says for what and how long; then it serves, without any help."""
    service = serve.launch(
        "--workers", workers, environment={**environment, WAIT: "60", "PGPASSWORD": "hunter2"}
    )
    told = service.wait_line("does not answer")
    assert re.fullmatch(
        r"the database juststorage_\w+ at the socket in \S+ does not answer \(\w+\);"
        r" trying again for 60 s",
        told,
    )
    assert json.loads(service.lines[-1])["level"] == "WARN"
    stopped.start()
    service.wait_listening()
    assert ask(service, "GET", "/health/ready").status == 200
    assert ask(service, "PUT", f"{OBJECTS}/k", b"x").status == 201
    assert service.stop() == 0
    assert "hunter2" not in "".join(service.lines)


@WORKERS
def test_it_does_not_wait_for_ever(
    serve: Any, environment: dict[str, str], stopped: LocalServer, workers: str
) -> None:
    """After `connect_wait_s` it gives up with one last line and exit code 2."""
    service = serve.launch("--workers", workers, environment={**environment, WAIT: "1"})
    service.wait_line("does not answer")
    began = time.monotonic()
    assert service.wait_exit() == 2
    assert time.monotonic() - began < 10
    assert re.fullmatch(
        r"(metadata: )?the database juststorage_\w+ at the socket in \S+ did not answer within 1 s",
        service.messages[-1],
    )
    assert "Traceback" not in "".join(service.lines)


def test_it_can_be_stopped_while_it_waits(
    serve: Any, environment: dict[str, str], stopped: LocalServer
) -> None:
    """SIGTERM ends the waiting at once, in order."""
    service = serve.launch(environment={**environment, WAIT: "600"})
    service.wait_line("does not answer")
    began = time.monotonic()
    assert service.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
