"""What experiments need of the machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.torture.journal import Broken
from tests.torture.service import call, free_port


def _given_port() -> int:
    """One that the kernel gives."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_port_of_a_dead_server_is_given_to_no_client() -> None:
    """It is below all that the kernel gives those who connect."""
    lowest_given = min(_given_port() for _ in range(50))
    assert all(free_port() < lowest_given for _ in range(50))


@contextmanager
def answering(etag: str, body: bytes) -> Iterator[int]:
    """The port of a server that answers every GET with this body under this entity tag."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if etag:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("etag", ["", f'"sha256:{sha256(b"bytes").hexdigest()}"'])
def test_a_whole_body_with_the_hash_of_its_tag_is_an_answer(etag: str) -> None:
    """And so is what has no tag, as a list of objects."""
    with answering(etag, b"bytes") as port:
        assert call(port, "GET", "/") == (200, b"bytes")


def test_a_whole_body_with_another_hash_is_noticed() -> None:
    """Whoever asked need not know what it should have been."""
    with (
        answering(f'"sha256:{sha256(b"bytes").hexdigest()}"', b"bytEs") as port,
        pytest.raises(Broken, match="200 with 5 bytes that do not have the hash"),
    ):
        call(port, "GET", "/")
