"""Real servers in processes of their own, with their logs read line by line."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

PATIENCE_S = 60.0
"""How long anything may take before the test says that it does not happen."""

KEY = "the-key-of-these-tests-only"

SECRETS = re.compile(rf"js_[0-9a-z]{{12}}_[\w-]{{43}}|{KEY}|://\w+:\w+@")
"""What is in no line of any server: keys that it issued, the one it was given, passwords."""

_PATHS = re.compile(r"/v1/objects/by-key/[^\s\"]*")

MEMORY = {
    "JUSTSTORAGE__PLUGINS__ENABLED": "api",
    "JUSTSTORAGE__METADATA__BACKEND": "memory",
    "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
    "JUSTSTORAGE__ALLOW_EPHEMERAL": "true",
    "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
}
"""A service that needs no other package."""

_MAIN = "from juststorage.cli import main; main()"
_LISTENING = re.compile(r"listening on (http://\S+)")


class Server:
    """`juststorage serve`, running."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("JUSTSTORAGE_")
        }
        # Whoever does not ask for several looks into the one process that there is.
        clean["JUSTSTORAGE__SERVER__WORKERS"] = "1"
        # Nobody has to notice that a server of a test stops, unless the test is about that.
        clean["JUSTSTORAGE__SERVER__DRAIN_DELAY_S"] = "0"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", *arguments],
            cwd=cwd,
            env={name: value for name, value in {**clean, **environment}.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_line(self, words: str) -> str:
        """Read the log until a message contains the words; that message."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                self._queue.put(None)
                raise AssertionError(f"the log ended without {words!r}: {self.lines}")
            self.lines.append(line)
            if words in line:
                return str(json.loads(line)["message"])

    def wait_listening(self) -> None:
        """Wait until it accepts connections."""
        match = _LISTENING.search(self.wait_line("listening on"))
        assert match is not None
        self.url = match[1]
        poll(self.is_listening, "the server listens")

    def wait_exit(self) -> int:
        """Wait for its end and read the rest of its log; its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        while (line := self._queue.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        return code

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait; its exit code."""
        self.process.send_signal(signum)
        return self.wait_exit()

    @property
    def messages(self) -> list[str]:
        """What the log lines say that were read so far."""
        return [json.loads(line)["message"] for line in self.lines]

    def refusals(self) -> list[str]:
        """What a server that could not start said, each in a line of its log."""
        lines = [json.loads(line) for line in self.lines]
        for line in lines:
            assert (line["level"], line["target"]) == ("ERROR", "juststorage.serve"), line
            assert line["fields"] == {"code": "misconfigured"}
        return [line["message"] for line in lines]

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def listeners(self) -> int:
        """How many sockets listen on its port: one for each worker that is ready."""
        local = f":{self.address[1]:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(local) and row[3] == "0A" for row in rows)

    def wait_workers(self, count: int) -> None:
        """Wait until this many workers are ready."""
        poll(lambda: self.listeners() == count, f"{count} workers listen")

    def is_listening(self) -> bool:
        """Whether a new connection is accepted."""
        try:
            socket.create_connection(self.address, timeout=PATIENCE_S).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return False  # reset: it was in the queue when the listening socket closed
        return True

    def wait_refusing(self) -> None:
        """Wait until new connections are refused."""
        poll(lambda: not self.is_listening(), "new connections are refused")

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """A connection."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE_S)
        connection.connect(self.address)
        return connection

    def call(
        self, method: str, target: str, body: bytes | None = None, *, key: str | None = KEY
    ) -> tuple[int, bytes]:
        """A request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)
        headers = {} if key is None else {"Authorization": f"ApiKey {key}"}
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def children(self) -> list[int]:
        """Process ids of its workers."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        for pid in [*self._safe_children(), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        while not self._queue.empty():
            self.lines.append(self._queue.get() or "")
        # What a client named its object is the client's business: a fuzzer takes what it has got.
        told = [line[:200] for line in self.lines if SECRETS.search(_PATHS.sub("", line))]
        assert not told, told

    def _safe_children(self) -> list[int]:
        if self.process.poll() is not None:
            return []
        try:
            return self.children()
        except FileNotFoundError:
            return []


def poll(condition: Any, what: str) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen that {what}"


class Starter:
    """Starts servers; all of them end with the test."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.servers: list[Server] = []

    def launch(
        self, *arguments: str, environment: Mapping[str, str] = MEMORY, port: int = 0
    ) -> Server:
        """Start one and wait for nothing."""
        server = Server(["--port", str(port), *arguments], environment, self.cwd)
        self.servers.append(server)
        return server

    def __call__(
        self, *arguments: str, environment: Mapping[str, str] = MEMORY, port: int = 0
    ) -> Server:
        """Start one and wait until it listens."""
        server = self.launch(*arguments, environment=environment, port=port)
        server.wait_listening()
        return server

    def refusal(self, *arguments: str, environment: Mapping[str, str] = MEMORY) -> str:
        """Start one that cannot: exit code 2, and one line of the log; its message."""
        server = self.launch(*arguments, environment=environment)
        code = server.wait_exit()
        assert (code, len(server.lines)) == (2, 1), server.lines
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
        [message] = server.refusals()
        return message


class Watched(NamedTuple):
    """A command that ran with standard error, or both outputs, on a terminal."""

    returncode: int
    stdout: str
    """Empty where it was on the terminal."""
    shown: str

    @property
    def percentages(self) -> list[int]:
        """What its bar said, one after the other."""
        return [int(number) for number in re.findall(r"(\d+)%", self.shown)]


def on_terminal(
    words: Sequence[object], *, cwd: Path, env: Mapping[str, str], stdout_too: bool = False
) -> Watched:
    """Run `juststorage` with these words while somebody watches, on a pseudo-terminal."""
    leader, follower = pty.openpty()
    shown: list[bytes] = []

    def watch() -> None:
        with contextlib.suppress(OSError):  # how a terminal ends
            while piece := os.read(leader, 65_536):
                shown.append(piece)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, *map(str, words)],
            cwd=cwd,
            env={**env, "TERM": "xterm"},
            stdout=follower if stdout_too else subprocess.PIPE,
            stderr=follower,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        os.close(follower)
        watcher.join()
        os.close(leader)
    text = b"".join(shown).decode()
    sys.stderr.write(text)  # for the report of a test that fails, and for whoever looks for secrets
    return Watched(done.returncode, (done.stdout or b"").decode(), text)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Starter]:
    """Start servers with a temporary directory as their working directory."""
    starter = Starter(tmp_path)
    try:
        yield starter
    finally:
        with contextlib.ExitStack() as ending:  # all of them, whatever one of them says
            for server in starter.servers:
                ending.callback(server.end)
