"""SIGTERM while requests are under way."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
from typing import Any

import pytest

workers = pytest.mark.parametrize("workers", ["1", "2"])

SIZE = 6 * 1024 * 1024
TARGET = "/v1/objects/by-key/models/acme/slow"
KEY = "the-key-of-these-tests-only"
SHORT_DRAIN = {
    "JUSTSTORAGE__PLUGINS__ENABLED": "api",
    "JUSTSTORAGE__METADATA__BACKEND": "memory",
    "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
    "JUSTSTORAGE__ALLOW_EPHEMERAL": "true",
    "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
    "JUSTSTORAGE__SERVER__DRAIN_TIMEOUT_S": "0.2",
}


def begin_upload(server: Any, body: bytes) -> socket.socket:
    """Send a request's head and the first half of its body."""
    connection: socket.socket = server.connect()
    head = (
        f"PUT {TARGET} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[: len(body) // 2])
    return connection


def finish_upload(connection: socket.socket, body: bytes) -> Any:
    """Send the second half; the answer's status and document."""
    connection.sendall(body[len(body) // 2 :])
    return answer(connection)


def answer(connection: socket.socket) -> Any:
    """The status and the document that came back."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def begin_download(connection: socket.socket, target: str) -> http.client.HTTPResponse:
    """Ask for an object and read the first bytes of the answer."""
    connection.sendall(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {KEY}\r\n\r\n".encode()
    )
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response


class TestDraining:
    @workers
    def test_an_upload_and_a_download_survive(self, serve: Any, workers: str) -> None:
        """What is under way finishes, new connections are refused, and the exit code is 0."""
        server = serve("--workers", workers)
        body = os.urandom(SIZE)
        # With two workers of separate memories, everything has to meet in one: one connection each
        # for what belongs together.
        with server.connect(receive_buffer=32 * 1024) as reading:
            reading.sendall(
                f"PUT {TARGET}-read HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {KEY}\r\n"
                f"Content-Length: {SIZE}\r\n\r\n".encode()
            )
            reading.sendall(body)
            assert answer(reading)[0] == 201
            download = begin_download(reading, f"{TARGET}-read")
            assert download.status == 200
            got = hashlib.sha256(download.read(1024))
            uploading = begin_upload(server, body)
            with uploading:
                server.process.send_signal(signal.SIGTERM)
                server.wait_line("no new connections")
                server.wait_refusing()
                while block := download.read(64 * 1024):
                    got.update(block)
                status, document = finish_upload(uploading, body)
        assert got.digest() == hashlib.sha256(body).digest()
        assert status == 201
        assert document["content_hash"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
        assert server.wait_exit() == 0

    def test_idle_connections_do_not_delay_the_end(self, serve: Any) -> None:
        """Connections without a request are closed: those that never sent one, and kept ones."""
        server = serve()
        with server.connect() as fresh, server.connect() as kept:
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            response = http.client.HTTPResponse(kept)
            response.begin()
            response.read()
            server.process.send_signal(signal.SIGTERM)
            assert fresh.recv(1) == b""
            assert kept.recv(1) == b""
        assert server.wait_exit() == 0


class TestTimeIsUp:
    @workers
    def test_a_stalled_upload_is_told(self, serve: Any, workers: str) -> None:
        """After the drain timeout a request that has not answered answers 503, and the end is well.

        The client can come back: the answer says that this is for now. It has the request's id in
        the header field and in the document, and so has the line of the access log.
        """
        server = serve("--workers", workers, environment=SHORT_DRAIN)
        with begin_upload(server, b"x" * 1024) as uploading:
            poke(server)
            server.process.send_signal(signal.SIGTERM)
            response = http.client.HTTPResponse(uploading)
            response.begin()
            document = json.loads(response.read())
        assert (response.status, document["code"]) == (503, "unavailable")
        assert response.getheader("Retry-After") == "1"
        assert document["instance"] == TARGET
        assert document["request_id"] == response.getheader("X-Request-Id")
        server.wait_line(f"PUT {TARGET} 503")
        line = json.loads(server.lines[-1])["fields"]
        assert (line["status"], line["code"]) == (503, "unavailable")
        assert line["request_id"] == document["request_id"]
        assert server.wait_exit() == 0

    def test_a_reader_that_stands_still_is_left(self, serve: Any) -> None:
        """A client that does not take its bytes cannot hold the server."""
        server = serve(environment=SHORT_DRAIN)
        assert server.call("PUT", TARGET, b"x" * SIZE * 4)[0] == 201
        with server.connect(receive_buffer=8 * 1024) as stalled:
            assert begin_download(stalled, TARGET).status == 200
            assert server.stop() == 0

    @workers
    def test_asking_again_hurries(self, serve: Any, workers: str) -> None:
        """A second signal ends the waiting, so that nobody has to kill."""
        server = serve("--workers", workers)
        with begin_upload(server, b"x" * 1024) as uploading:
            poke(server)
            server.process.send_signal(signal.SIGTERM)
            server.wait_line("no new connections")
            ask_until_gone(server)
            assert answer(uploading)[0] == 503
        assert server.wait_exit() == 0


def poke(server: Any) -> None:
    """Make sure that what was sent before has been received: later requests have been answered."""
    for _ in range(20):
        assert server.call("GET", "/health")[0] == 200


def ask_until_gone(server: Any) -> None:
    """Send SIGTERM again and again, as an impatient person does."""
    for _ in range(100):
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        return
    pytest.fail("the server does not hurry")
