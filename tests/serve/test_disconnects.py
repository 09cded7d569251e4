"""Clients that go away at any byte of a request or an answer, on the embedded default.

Afterwards the server is as if they had never come: nothing is visible, nothing is staged, no row is
being written, and every descriptor is closed. None of it waits for a lease to run out: the lease of
these servers is far longer than the test.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

KIB = 1024
SMALL = 40 * KIB
"""Held in memory until it is whole."""
LARGE = 700 * KIB
"""Staged while it arrives."""

Eventually = Callable[[Callable[[], bool], str], None]


class Server:
    """A server on the embedded default, seen from outside: its files, rows and descriptors."""

    def __init__(self, running: Any, data: Path) -> None:
        self.running = running
        self.data = data
        self.key = (data / "admin.key").read_text().strip()

    def head(self, method: str, name: str, *fields: str) -> bytes:
        """The head of a request for that key."""
        lines = [
            f"{method} /v1/objects/by-key/ns/acme/{name} HTTP/1.1",
            "Host: x",
            f"X-API-Key: {self.key}",
            *fields,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def call(self, method: str, name: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A whole request."""
        target = f"/v1/objects/by-key/ns/acme/{name}"
        answer: tuple[int, bytes] = self.running.call(method, target, body, key=self.key)
        return answer

    def descriptors(self) -> Counter[str]:
        """What is open, by kind; files by their path."""
        found: Counter[str] = Counter()
        for entry in Path(f"/proc/{self.running.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                target = str(entry.readlink())
                found[target.partition(":[")[0]] += 1
        return found

    def is_idle(self) -> bool:
        """Whether it has no connection: none open, and none that it has still to close."""
        local = f":{self.running.address[1]:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_ones = [row for row in rows if row[1].endswith(local) and row[9] != "0"]
        return all(row[3] == "0A" for row in open_ones)

    def rows(self) -> dict[str, int]:
        """How many objects there are in each state."""
        with closing(sqlite3.connect(self.data / "metadata.sqlite3")) as db:
            return dict(db.execute("SELECT status, count(*) FROM objects GROUP BY status"))

    def staged(self) -> list[str]:
        """The files that uploads have begun."""
        return [
            path.name
            for each in ("hot", "cold")
            for path in (self.data / each / ".staging").iterdir()
        ]


@pytest.fixture
def server(serve: Any, tmp_path: Path, eventually: Eventually) -> Server:
    """A running one, that has done each kind of call once: what it keeps open, it has opened."""
    environment = {"JUSTSTORAGE__UPLOADS__LEASE_S": "3600", "JUSTSTORAGE__GC__ENABLED": "false"}
    made = Server(serve("--data-dir", "data", environment=environment), tmp_path / "data")
    for name, size in (("kept-small", SMALL), ("kept-large", LARGE)):
        assert made.call("PUT", name, os.urandom(size))[0] == 201
        assert made.call("GET", name)[0] == 200
    eventually(made.is_idle, "the connections of these calls are closed")
    return made


def leave(wire: socket.socket, *, rudely: bool) -> None:
    """Close a connection: in order, or with a reset as a machine that crashed would."""
    if rudely:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def offsets(head: int, whole: int) -> Iterator[int]:
    """Bytes after which to leave: through the head, around its end, and through the body."""
    yield from range(0, head, 23)
    yield from (head - 1, head, head + 1)
    for edge in (4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB):
        yield from (at for at in (head + edge - 1, head + edge, head + edge + 1) if at < whole - 1)
    yield from (whole - 2, whole - 1)


def chunked(data: bytes) -> bytes:
    """The body in chunks of 10,000 bytes."""
    pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def assert_untouched(
    server: Server, eventually: Eventually, before: Counter[str], rows: dict[str, int]
) -> None:
    """Everything is as it was, as soon as the server has noticed."""
    # First, so that every connection before these has been accepted.
    for name, size in (("kept-small", SMALL), ("kept-large", LARGE)):
        status, body = server.call("GET", name)
        assert (status, len(body)) == (200, size)
    eventually(server.is_idle, "every connection is closed")
    eventually(lambda: server.staged() == [], "nothing is staged")
    eventually(lambda: server.rows().get("WRITING", 0) == 0, "no upload is under way")
    eventually(lambda: server.descriptors() == before, f"only {before} is open")
    assert server.rows().get("COMMITTED") == rows["COMMITTED"]


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("form", ["small", "large", "chunked"])
def test_an_upload_that_is_left_at_any_byte(
    server: Server, eventually: Eventually, form: str, rudely: bool
) -> None:
    """Whatever part of it arrived, nothing of it is visible, staged, under way or open."""
    before, rows = server.descriptors(), server.rows()
    body = os.urandom(SMALL if form == "small" else LARGE)
    if form == "chunked":
        head, body = server.head("PUT", "left", "Transfer-Encoding: chunked"), chunked(body)
    else:
        head = server.head("PUT", "left", f"Content-Length: {len(body)}")
    whole = head + body
    for offset in offsets(len(head), len(whole)):
        with server.running.connect() as wire:
            wire.sendall(whole[:offset])
            leave(wire, rudely=rudely)
    assert_untouched(server, eventually, before, rows)
    assert server.call("GET", "left")[0] == 404
    assert server.call("PUT", "left", b"the key is free")[0] == 201


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
def test_many_uploads_that_are_left_at_once(
    server: Server, eventually: Eventually, rudely: bool
) -> None:
    """The same where all are under way together, each seen by the server before it is left."""
    before, rows = server.descriptors(), server.rows()
    head = server.head("PUT", "left", f"Content-Length: {LARGE}", "Expect: 100-continue")
    wires = [server.running.connect() for _ in range(20)]
    for number, wire in enumerate(wires):
        wire.sendall(head)
        assert wire.recv(25).startswith(b"HTTP/1.1 100")
        wire.sendall(bytes(number * 30 * KIB))
    eventually(lambda: len(server.staged()) == len(wires), "all of them are staged")
    for wire in wires:
        leave(wire, rudely=rudely)
    assert_untouched(server, eventually, before, rows)


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("name", ["kept-small", "kept-large"])
@pytest.mark.parametrize("part", ["whole", "range"])
def test_a_download_that_is_left_at_any_byte(
    server: Server, eventually: Eventually, name: str, rudely: bool, part: str
) -> None:
    """However much of the answer was read, its file and connection are closed."""
    before, rows = server.descriptors(), server.rows()
    fields = [] if part == "whole" else ["Range: bytes=1-"]
    for offset in (0, 1, 200, 4 * KIB, SMALL, 64 * KIB, 300 * KIB, LARGE):
        with server.running.connect(receive_buffer=4 * KIB) as wire:
            wire.sendall(server.head("GET", name, *fields))
            left = offset
            while left > 0 and (piece := wire.recv(min(left, 64 * KIB))):
                # A small answer ends before the larger offsets, and its connection stays.
                left = 0 if name == "kept-small" and offset > SMALL else left - len(piece)
            leave(wire, rudely=rudely)
    assert_untouched(server, eventually, before, rows)
