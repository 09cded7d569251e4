"""What a collector of its own answers, on a real socket."""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import ExitStack

import pytest

from juststorage.errors import Misconfigured
from juststorage.metrics import SERVICE_FAMILIES, TEXT_FORMAT, Table
from juststorage.runtime._metrics_server import MetricsServer


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    """Status and media type."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Content-Type", "")
    finally:
        connection.close()


def test_a_loop_that_hangs_is_not_alive(port: int) -> None:
    """From its first beat on one is due; before, the store is being opened, however long."""
    now = 0.0
    with MetricsServer("127.0.0.1", port, clock=lambda: now) as server:
        now = 1000.0
        assert ask(port, "/health")[0] == 200
        server.beat()
        now = 1029.0
        assert ask(port, "/health")[0] == 200
        now = 1031.0
        assert ask(port, "/health")[0] == 503
        server.beat()
        assert ask(port, "/health")[0] == 200


def test_a_table_is_told_once_there_is_one(port: int) -> None:
    """Before it, and elsewhere, there is nothing."""
    with MetricsServer("127.0.0.1", port) as server:
        assert ask(port, "/metrics")[0] == 404
        server.show(Table(SERVICE_FAMILIES))
        assert ask(port, "/metrics") == (200, TEXT_FORMAT)
        assert ask(port, "/metrics?name=a") == (200, TEXT_FORMAT)
        assert ask(port, "/metrics", "HEAD") == (200, TEXT_FORMAT)
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert ask(port, "/metrics", method)[0] == 404
        assert ask(port, "/metrics/x")[0] == 404


def test_more_connections_than_there_are_slots(port: int) -> None:
    """Those are closed; once the silent ones are gone it answers as before."""
    with MetricsServer("127.0.0.1", port) as server:
        server.show(Table(SERVICE_FAMILIES))
        with ExitStack() as silent:
            for _ in range(16):
                silent.enter_context(socket.create_connection(("127.0.0.1", port)))
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                ask(port, "/metrics")
        until = time.monotonic() + 10
        while True:
            try:
                assert ask(port, "/metrics")[0] == 200
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                assert time.monotonic() < until
                time.sleep(0.02)


def test_it_leaves_its_port(port: int) -> None:
    """To the next one, at once; two at a time are refused with a sentence."""
    with MetricsServer("127.0.0.1", port):
        with pytest.raises(Misconfigured, match=rf"gc.metrics_port: .* port {port}: Address"):
            MetricsServer("127.0.0.1", port)
        assert ask(port, "/health")[0] == 200
    with MetricsServer("127.0.0.1", port):
        assert ask(port, "/health")[0] == 200
    with pytest.raises(Misconfigured, match=r"cannot listen on nowhere\.invalid"):
        MetricsServer("nowhere.invalid", port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address(port: int) -> None:
    """A cluster may have nothing else."""
    with MetricsServer("::", port):
        assert ask(port, "/health", host="::1")[0] == 200
