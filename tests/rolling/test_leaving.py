"""SIGTERM, as those see it who have a connection, look at readiness, or move a gigabyte."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import poll
from tests.rolling.client import KEY

MIB = 1024 * 1024
GIB = 1024 * MIB
BLOCK = bytes(range(256)) * (MIB // 256)
OBJECTS = "/v1/objects/by-key/ns/acme"

workers = pytest.mark.parametrize("workers", ["1", "2"])


def ask(connection: http.client.HTTPConnection, target: str) -> tuple[int, str | None, Any]:
    """Status, the field `Connection`, and the document of an answer."""
    connection.request("GET", target)
    response = connection.getresponse()
    return response.status, response.getheader("connection"), json.loads(response.read())


class TestLeaving:
    @workers
    def test_not_ready_first_and_answering_still(
        self, serve: Any, environment: dict[str, Any], workers: str
    ) -> None:
        """Readiness says so at once; kept and new connections are answered, and told to close."""
        server = serve("--workers", workers, environment=environment)
        server.wait_workers(int(workers))
        kept = [http.client.HTTPConnection(*server.address, timeout=60) for _ in range(4)]
        for connection in kept:
            assert ask(connection, "/health/ready")[:2] == (200, None)
        server.process.send_signal(signal.SIGTERM)
        for _ in range(int(workers)):
            server.wait_line("not ready any more")
        status, closing, document = ask(kept[0], "/health/ready")
        assert (status, closing, document["detail"]) == (503, "close", "not ready: server")
        part = next(part for part in document["parts"] if part["name"] == "server")
        assert part["detail"] == "it is stopping"
        for connection in kept[1:]:
            assert ask(connection, "/health") == (200, "close", {"status": "ok"})
        status, content = server.call("GET", "/health/ready")
        assert status == 503, content
        assert server.wait_exit() == 0
        assert not server.is_listening()

    def test_ctrl_c_does_not_wait(self, serve: Any, environment: dict[str, Any]) -> None:
        """A person at a terminal is not a balancer; nor is a service without its backends."""
        slow = {**environment, "JUSTSTORAGE__SERVER__DRAIN_DELAY_S": "600"}
        for count in ("1", "2"):
            server = serve("--workers", count, environment=slow)
            server.wait_workers(int(count))
            assert server.stop(signal.SIGINT) == 0

    def test_a_second_signal_ends_the_delay(self, serve: Any, environment: dict[str, Any]) -> None:
        """Whoever has been patient for a second may be no longer."""
        slow = {**environment, "JUSTSTORAGE__SERVER__DRAIN_DELAY_S": "600"}
        server = serve(environment=slow)
        server.process.send_signal(signal.SIGTERM)
        server.wait_line("not ready any more")
        assert threading.Event().wait(1.2) is False  # sooner, it counts as an echo
        assert server.stop() == 0


class TestTransfers:
    def test_a_gibibyte_each_way(self, serve: Any, environment: dict[str, Any]) -> None:
        """An upload and a download of 1 GiB that are under way finish, byte for byte."""
        server = serve(environment=environment)
        expected = hashlib.sha256()
        for _ in range(GIB // MIB):
            expected.update(BLOCK)
        assert upload(server, "first", lambda _: None)["content_hash"].endswith(
            expected.hexdigest()
        )
        signalled = threading.Event()
        results: dict[str, str] = {}

        def send() -> None:
            document = upload(server, "second", lambda sent: sent < 100 or signalled.wait(60))
            results["up"] = document["content_hash"].removeprefix("sha256:")

        def receive() -> None:
            results["down"] = download(server, "first", lambda got: got < 100 or signalled.wait(60))

        transfers = [threading.Thread(target=each, daemon=True) for each in (send, receive)]
        for each in transfers:
            each.start()
        poll(lambda: in_flight(server) >= 1, "both are under way")
        server.process.send_signal(signal.SIGTERM)
        server.wait_line("no new connections")
        assert not results
        signalled.set()
        for each in transfers:
            each.join(120)
        assert results == {"up": expected.hexdigest(), "down": expected.hexdigest()}
        assert server.wait_exit() == 0


def in_flight(server: Any) -> float:
    """Uploads under way, as the server counts them."""
    lines = server.call("GET", "/metrics")[1].decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("juststorage_uploads_in_flight")
    )


def upload(server: Any, name: str, at: Callable[[int], Any]) -> Any:
    """Store 1 GiB; `at` is called with the number of MiB before each one."""
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    connection.putrequest("PUT", f"{OBJECTS}/{name}")
    connection.putheader("X-API-Key", KEY)
    connection.putheader("Content-Length", str(GIB))
    connection.endheaders()
    for sent in range(GIB // MIB):
        at(sent)
        connection.send(BLOCK)
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    assert response.status == 201, document
    return document


def download(server: Any, name: str, at: Callable[[int], Any]) -> str:
    """The SHA-256 of 1 GiB that was read; `at` is called with the number of MiB before each one."""
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    connection.request("GET", f"{OBJECTS}/{name}", headers={"X-API-Key": KEY})
    response = connection.getresponse()
    assert response.status == 200
    read = hashlib.sha256()
    for got in range(GIB // MIB):
        at(got)
        read.update(response.read(MIB))
    connection.close()
    return read.hexdigest()
