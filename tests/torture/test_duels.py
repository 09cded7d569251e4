"""Duels at two servers that are as one, and at two that are not."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.torture.duels import Duels
from tests.torture.experiment import Counts
from tests.torture.journal import Broken
from tests.torture.model.state import etag_of, holds


class Shelf:
    """What is under each key, for any number of servers.

    Args:
        judges: Whether it judges conditions when it changes a key, or only before.
    """

    def __init__(self, *, judges: bool) -> None:
        self.things: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.judges = judges

    def tag(self, path: str) -> str | None:
        """Of what is there."""
        return etag_of(self.things[path]) if path in self.things else None


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.shelf.lock:
            data, tag = self.shelf.things.get(self.path), self.shelf.tag(self.path)
        self._answer(404 if data is None else 200, tag, data or b"")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        [condition] = [c for c in self.headers.items() if c[0] in {"If-Match", "If-None-Match"}]
        if not self._holds(condition):
            return self._answer(412)
        time.sleep(0.005)  # the bytes are stored
        with self.shelf.lock:
            if self.shelf.judges and not holds(condition, self.shelf.tag(self.path)):
                return self._answer(412)
            was_there = self.path in self.shelf.things
            if self.command == "DELETE":
                self.shelf.things.pop(self.path, None)
                return self._answer(204 if was_there else 404)
            self.shelf.things[self.path] = data
            return self._answer(200 if was_there else 201, etag_of(data))

    do_DELETE = do_PUT  # noqa: N815  as the base names them

    def _holds(self, condition: tuple[str, str]) -> bool:
        with self.shelf.lock:
            return holds(condition, self.shelf.tag(self.path))

    def _answer(self, status: int, tag: str | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        if tag is not None:
            self.send_header("ETag", tag)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _served(shelf: Shelf) -> Iterator[int]:
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), type("_Bound", (_Handler,), {"shelf": shelf})
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _fight(*shelves: Shelf) -> Counts:
    counts = Counts()
    with ExitStack() as stack:
        ports = [stack.enter_context(_served(shelf)) for shelf in shelves]
        duels = Duels("d", ports, 2, random.Random(1))
        with duels.fought():
            time.sleep(1)
        duels.judge(counts)
    return counts


def test_two_servers_that_are_as_one_break_nothing() -> None:
    """Every duel has one winner."""
    shelf = Shelf(judges=True)
    counts = _fight(shelf, shelf)
    assert counts["duels"] == counts["duels with one winner, and both told"] > 5


def test_a_condition_that_is_judged_too_early_is_noticed() -> None:
    """Both are told that they have replaced the same thing."""
    shelf = Shelf(judges=False)
    with pytest.raises(Broken, match="a split decision"):
        _fight(shelf, shelf)


def test_two_servers_with_a_shelf_each_are_noticed() -> None:
    """Each has an order of its own, and no order explains both."""
    with pytest.raises(Broken, match=r"a split decision|has no order"):
        _fight(Shelf(judges=True), Shelf(judges=True))
