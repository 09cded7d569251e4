"""The line to an object store that fails when it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from juststorage_objectstore.testing import faulty_proxy

_SOON_S = 10.0


class _Store(BaseHTTPRequestHandler):
    heard: list[str]

    def do_DELETE(self) -> None:
        self.heard.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[tuple[str, list[str]]]:
    """Where a store is, and what it has heard."""
    heard: list[str] = []
    with HTTPServer(("127.0.0.1", 0), type("_Bound", (_Store,), {"heard": heard})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


def test_what_nobody_waits_for_any_more_is_still_under_way(store: tuple[str, list[str]]) -> None:
    """Until the line is well and the store has done it: only then has everything happened."""
    endpoint, heard = store
    with faulty_proxy(endpoint) as line:
        line.on("DELETE", "hold")
        client = HTTPConnection(urlsplit(line.endpoint).netloc, timeout=_SOON_S)
        client.request("DELETE", "/bucket/key")
        assert line.held.wait(_SOON_S)
        client.close()
        assert (line.under_way, heard) == (1, [])
        line.heal()
        until = time.monotonic() + _SOON_S
        while line.under_way:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert heard == ["/bucket/key"]
