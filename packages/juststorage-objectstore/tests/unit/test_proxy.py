"""The line to an object store that fails when it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from juststorage_objectstore.testing import FaultyProxy, faulty_proxy
from juststorage_objectstore.testing._proxy import Fault

_SOON_S = 10.0


_BODY = b"all of it"


class _Store(BaseHTTPRequestHandler):
    heard: list[str]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_DELETE()

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
        assert (line.under_way, heard) == (["DELETE /bucket/key"], [])
        line.heal()
        until = time.monotonic() + _SOON_S
        while line.under_way:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert heard == ["/bucket/key"]


def test_a_request_that_breaks_off_is_not_passed_on(store: tuple[str, list[str]]) -> None:
    """Its client was killed, or gave up. The store would wait for the rest, which never comes."""
    endpoint, heard = store
    with faulty_proxy(endpoint) as line:
        address = urlsplit(line.endpoint)
        with socket.create_connection((address.hostname, address.port), _SOON_S) as client:
            client.sendall(b"PUT /bucket/key HTTP/1.1\r\nContent-Length: 100\r\n\r\nand no more")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b"", "nothing answers it"
        assert (line.under_way, line.seen, heard) == ([], [], [])
        whole = HTTPConnection(address.netloc, timeout=_SOON_S)
        whole.request("PUT", "/bucket/key", _BODY)
        assert whole.getresponse().status == 204
        whole.close()
        assert (line.seen, heard) == (["PUT /bucket/key"], ["/bucket/key"])


def _get(line: FaultyProxy, timeout_s: float = _SOON_S) -> None:
    client = HTTPConnection(urlsplit(line.endpoint).netloc, timeout=timeout_s)
    with suppress(OSError, HTTPException):
        client.request("GET", "/bucket/key")
        client.getresponse().read()
    client.close()


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer", "cut_answer", "hold", "late"])
def test_it_says_how_many_requests_have_failed(store: tuple[str, list[str]], fault: Fault) -> None:
    """So that who lets one fail knows whether that has happened."""
    endpoint, _ = store
    with faulty_proxy(endpoint) as line:
        line.on("GET", fault, skip=1)
        line.on("DELETE", fault)
        _get(line)
        assert line.faults == 0, "one passes, and of another method there was none"
        _get(line, 0.2 if fault == "hold" else _SOON_S)
        assert line.faults == 1
        _get(line)
        assert line.faults == 1, "a rule is used up"


def test_an_answer_that_comes_whole_has_not_failed(store: tuple[str, list[str]]) -> None:
    """It was to be cut behind its end."""
    endpoint, _ = store
    with faulty_proxy(endpoint) as line:
        line.on("GET", "cut_answer", body_bytes=len(_BODY))
        _get(line)
        line.on("GET", "cut_answer", body_bytes=len(_BODY) - 1)
        assert line.faults == 0
        _get(line)
        assert line.faults == 1
