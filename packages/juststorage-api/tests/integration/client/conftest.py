"""A real server, a network that breaks when told, and the real commands."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage

_PATH = Path(__file__).parents[1] / "serve/conftest.py"
_spec = importlib.util.spec_from_file_location("juststorage_client_harness", _PATH)
assert _spec is not None
assert _spec.loader is not None
harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)

Run = Callable[..., Result]

PATIENCE_S = 60

_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: to close is to reset."""


class Network:
    """A way to a server that breaks: each connection carries as many bytes of answers as planned.

    Args:
        address: Of the server.
        plan: For each connection in turn, the bytes of answers after which it is cut; those beyond
            the plan hold. 0 cuts a connection when it begins.
        uploads: The same for the bytes of requests.
        lose: An answer with these bytes never arrives, once: its connection is cut instead.
        on_cut: Called before each cut.
        on_first: Called once, when the first answer has left the server and has not yet arrived.
        damage: Which byte of each connection's answers is turned on the way.
    """

    def __init__(
        self,
        address: tuple[str, int],
        plan: list[int],
        *,
        uploads: Sequence[int] = (),
        lose: bytes | None = None,
        on_cut: Callable[[], object] = lambda: None,
        on_first: Callable[[], object] | None = None,
        damage: int | None = None,
    ) -> None:
        self._address = address
        self._plan = plan
        self._uploads = uploads
        self._lose = lose
        self._on_cut = on_cut
        self._on_first = on_first
        self._damage = damage
        self.connections = 0
        self.sent: list[int] = []
        """The bytes of requests of each connection that came to the server."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self._open: list[socket.socket] = []

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            number = self.connections
            limit = self._plan[number] if number < len(self._plan) else None
            sent_limit = self._uploads[number] if number < len(self._uploads) else None
            self.connections += 1
            self.sent.append(0)
            server = socket.create_connection(self._address, timeout=PATIENCE_S)
            client.settimeout(PATIENCE_S)
            self._open += [client, server]
            for source, sink, end in ((client, server, sent_limit), (server, client, limit)):
                of = number if sink is server else None
                thread = threading.Thread(
                    target=self._carry, args=(source, sink, end, of), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, limit: int | None, number: int | None
    ) -> None:
        """Carry one direction: requests of the connection with this number, or answers."""
        answers = number is None
        carried = 0
        try:
            while limit is None or carried < limit:
                data = source.recv(65_536 if limit is None else min(65_536, limit - carried))
                if not data:
                    break
                if answers and self._on_first is not None:
                    told, self._on_first = self._on_first, None
                    told()
                if answers and self._damage is not None and carried <= self._damage:
                    at = self._damage - carried
                    data = (
                        data[:at] + bytes(255 - byte for byte in data[at : at + 1]) + data[at + 1 :]
                    )
                if answers and self._lose is not None and self._lose in data:
                    self._lose = None
                    self._on_cut()
                    break
                sink.sendall(data)
                carried += len(data)
                if number is not None:
                    self.sent[number] = carried
            else:
                self._on_cut()
                if not answers:
                    # Whoever sends more than buffers hold would wait for ever: reset it.
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    source.close()
        except OSError:
            pass  # the other direction was cut
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it and all of its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for end in self._open:
            end.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server in memory; tests keep out of each other's way by their keys."""
    starter = harness.Starter(tmp_path_factory.mktemp("server"))
    try:
        yield starter()
    finally:
        for each in starter.servers:
            each.end()


@pytest.fixture(name="harness")
def servers() -> Any:
    """What starts servers."""
    return harness


@pytest.fixture
def key() -> str:
    """The key that may do everything."""
    return str(harness.KEY)


@pytest.fixture
def network(server: Any) -> Iterator[Callable[..., Network]]:
    """Makes ways to the server that break."""
    made: list[Network] = []

    def make(plan: list[int], **how: Any) -> Network:
        made.append(Network(server.address, plan, **how))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def environment(server: Any) -> dict[str, str]:
    """What tells a command where the server is, and whose key it has."""
    clean = {name: value for name, value in os.environ.items() if "JUSTSTORAGE" not in name.upper()}
    return {**clean, "JUSTSTORAGE_URL": server.url, "JUSTSTORAGE_KEY": harness.KEY}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, in an empty directory."""
    for name in list(os.environ):
        if "JUSTSTORAGE" in name.upper():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    told = {name: environment[name] for name in ("JUSTSTORAGE_URL", "JUSTSTORAGE_KEY")}

    def invoke(*args: object, **changes: str | None) -> Result:
        words = [str(arg) for arg in args]
        return CliRunner().invoke(juststorage, words, env={**told, **changes})

    return invoke


# A shell that runs the tests in its background has them, and what they start, ignore SIGINT.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from juststorage.cli import main; main()"
)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Runs a command in a process of its own."""

    def started(*args: object, **how: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", _MAIN, *map(str, args)],
            cwd=tmp_path,
            env=environment,
            timeout=PATIENCE_S,
            check=False,
            **{"capture_output": True, **how},
        )

    return started


@pytest.fixture
def begin(environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Starts a command in a process of its own, for the test to wait for."""

    def begun(*args: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _MAIN, *map(str, args)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return begun


@pytest.fixture
def watch(environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Runs a command while somebody watches its standard error, or both outputs."""

    def watched(*args: object, stdout_too: bool = False) -> Any:
        return harness.on_terminal(args, cwd=tmp_path, env=environment, stdout_too=stdout_too)

    return watched


@pytest.fixture
def content() -> bytes:
    """Bytes that take many packets."""
    return bytes(range(251)) * 16_000


@pytest.fixture
def stored(run: Run, tmp_path: Path, content: bytes, request: pytest.FixtureRequest) -> str:
    """An object of its own for the test."""
    name = f"docs/acme/{request.node.name}"
    (tmp_path / "source").write_bytes(content)
    result = run("objects", "put", "source", name)
    assert result.exit_code == 0, result.output
    return name
