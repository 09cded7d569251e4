"""Lines to a database that go bad in each of their ways, to somebody who says everything twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lost_database.proxy import Away, Proxy

_SOON_S = 10.0
_NEVER_S = 0.2


class Twice:
    """Answers every message with itself, twice, and remembers what it heard."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.heard: list[bytes] = []
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        answering = []
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                answering.append(threading.Thread(target=self._answer, args=(end,)))
                answering[-1].start()
        for each in answering:
            each.join()

    def _answer(self, end: socket.socket) -> None:
        with end, suppress(OSError):
            while message := end.recv(100):
                with self.news:
                    self.heard.append(message)
                    self.news.notify_all()
                end.sendall(message * 2)

    def has_heard(self, message: bytes, seconds: float) -> bool:
        """Whether it hears that within this time."""
        with self.news:
            return self.news.wait_for(lambda: message in self.heard, seconds)

    def end(self) -> None:
        """Called when its clients are gone."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self._listener.close()


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[Twice]:
    """The server."""
    server = Twice(tmp_path / "s")
    yield server
    server.end()


@pytest.fixture
def line(twice: Twice, tmp_path: Path) -> Iterator[Proxy]:
    """A line to it."""
    (tmp_path / "l").mkdir()
    with Proxy(tmp_path / "l", tmp_path / "s") as proxy:
        yield proxy


@pytest.fixture
def client(line: Proxy) -> Iterator[socket.socket]:
    """Somebody who was connected while all was well."""
    with connected(line) as end:
        assert said(end, b"well") == b"wellwell"
        yield end


def connected(line: Proxy) -> socket.socket:
    """A new connection."""
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(_SOON_S)
    end.connect(str(line.directory / "s"))
    return end


def said(end: socket.socket, message: bytes) -> bytes:
    """What comes back; nothing where the connection ends."""
    with suppress(ConnectionError):
        end.sendall(message)
        return end.recv(100)
    return b""


def is_quiet(end: socket.socket) -> bool:
    """Whether it says nothing, and does not end."""
    end.settimeout(_NEVER_S)
    try:
        end.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        end.settimeout(_SOON_S)
    return False


def test_a_line_that_is_cut_ends_connections_and_refuses_new_ones(
    line: Proxy, twice: Twice, client: socket.socket
) -> None:
    """Nothing gets through, and all does once it is well."""
    line.take_away("cut")
    assert said(client, b"old") == b""
    with connected(line) as new:
        assert said(new, b"new") == b""
    line.heal()
    with connected(line) as new:
        assert said(new, b"later") == b"laterlater"
    assert twice.heard == [b"well", b"later"]


@pytest.mark.parametrize(("how", "arrives"), [("silent", False), ("deaf", True)])
def test_what_is_on_its_way_arrives_when_a_line_is_well_again(
    line: Proxy, twice: Twice, client: socket.socket, *, how: Away, arrives: bool
) -> None:
    """Of new connections too, and even from somebody who has given up meanwhile."""
    line.take_away(how)
    client.sendall(b"old")
    with connected(line) as new:
        new.sendall(b"new")
        with connected(line) as brief:
            brief.sendall(b"brief")
        assert is_quiet(client)
        assert is_quiet(new)
        for word in (b"old", b"new", b"brief"):
            assert twice.has_heard(word, _SOON_S if arrives else _NEVER_S) is arrives
        line.heal()
        assert client.recv(100) == b"oldold"
        assert new.recv(100) == b"newnew"
        assert twice.has_heard(b"brief", _SOON_S)


def test_a_line_that_loses_answers_ends_instead(
    line: Proxy, twice: Twice, client: socket.socket
) -> None:
    """What was said has arrived, and whoever said it does not learn that."""
    line.take_away("lose_answers")
    assert said(client, b"old") == b""
    assert twice.has_heard(b"old", _SOON_S)
    line.heal()
    with connected(line) as new:
        assert said(new, b"new") == b"newnew"


def test_a_line_that_forgets_its_connections_has_new_ones(
    line: Proxy, twice: Twice, client: socket.socket
) -> None:
    """Those that there were stay open, and are silent for ever."""
    line.silence()
    client.sendall(b"old")
    assert is_quiet(client)
    with connected(line) as new:
        assert said(new, b"new") == b"newnew"
    assert b"old" not in twice.heard


def test_a_line_that_drops_its_connections_has_new_ones(
    line: Proxy, twice: Twice, client: socket.socket
) -> None:
    """Those that there were end with their next answer, which is lost."""
    line.drop()
    with connected(line) as new:
        assert said(new, b"new") == b"newnew"
    assert said(client, b"old") == b""
    assert twice.has_heard(b"old", _SOON_S)
