"""A real server in a process of its own, and a client that sends exactly what it is told to."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

PATIENCE_S = 30.0


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str = field(default="", repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document, whose other members are checked here."""
        document = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert document["status"] == self.status
        assert document["type"] == f"urn:juststorage:problem:{document['code']}"
        assert document["request_id"] == self.headers["x-request-id"]
        assert document["instance"] == self.url.partition("?")[0]
        assert document["title"] and document["detail"]
        assert "Traceback" not in self.body.decode() and "/secret/path" not in self.body.decode()
        code: str = document["code"]
        return code


class Api:
    """Calls to one server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(
        self,
        method: str,
        url: str,
        *,
        key: str | None = "admin",
        headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
        body: bytes | None = None,
    ) -> Answer:
        """Send a request whose target and headers are exactly these; one connection each."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.putrequest(method, url, skip_accept_encoding=True)
        listed = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if key is not None:
            listed.append(("X-API-Key", self.secret(key)))
        names = {name.lower() for name, _ in listed}
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            listed.append(("Content-Length", str(len(body))))
        for name, value in listed:
            connection.putheader(name, value.encode("latin-1"))
        try:
            connection.endheaders(body)
            return _read(connection.getresponse(), url)
        finally:
            connection.close()

    def put(self, url: str, body: bytes, **options: Any) -> Any:
        """Upload by key and expect success; the object."""
        answer = self.call("PUT", url, body=body, **options)
        assert answer.status in {200, 201}, answer
        return answer.json

    def raw(self, data: bytes, *, half_close: bool = False) -> Answer:
        """Send bytes, then read one response."""
        with self.connect() as wire:
            wire.sendall(data)
            if half_close:
                wire.shutdown(socket.SHUT_WR)
            method, url = data.split(b" ", 2)[:2]
            return self.read_answer(wire, method.decode(), url.decode("latin-1"))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    @staticmethod
    def digest(data: bytes) -> str:
        """The content hash."""
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    @staticmethod
    def repr_digest(data: bytes) -> str:
        """The Repr-Digest."""
        return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"

    @staticmethod
    def secret(name: str) -> str:
        """The API key of that name."""
        return f"{name}-" + "k" * 32

    @staticmethod
    def read_answer(wire: socket.socket, method: str = "GET", url: str = "") -> Answer:
        """Read one response from a connection."""
        response = http.client.HTTPResponse(wire, method=method)
        response.begin()
        return _read(response, url)

    def state(self) -> dict[str, Any]:
        """What the stores hold: live objects by tenant and status, and staged entries."""
        found = self.call("GET", "/-/state", key=None).json
        live = {
            name: count
            for name, count in found["objects"].items()
            if name.endswith(("/COMMITTED", "/WRITING"))
        }
        return {"objects": live, "staged": found["staged"]}


def _read(response: http.client.HTTPResponse, url: str) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    assert len(headers) == len(response.getheaders()), "a header is there twice"
    return Answer(response.status, headers, response.read(), url)


class Log:
    """The server's log, read as it is written."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._more = threading.Condition()

    def read(self, source: Iterable[str]) -> None:
        for line in source:
            with self._more:
                self._lines.append(line)
                self._more.notify_all()

    def wait(self, *words: str) -> str:
        """The first line that has all these words; it may be yet to come."""
        with self._more:
            assert self._more.wait_for(lambda: self._find(words), PATIENCE_S), (words, self._lines)
            return self._find(words)[0]

    def _find(self, words: tuple[str, ...]) -> list[str]:
        return [line for line in self._lines if all(word in line for word in words)]

    def __repr__(self) -> str:
        return "".join(self._lines)


@pytest.fixture(scope="session")
def log() -> Log:
    """The server's log."""
    return Log()


@pytest.fixture(scope="session")
def api(log: Log) -> Iterator[Api]:
    """A running server."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    reader = threading.Thread(target=log.read, args=[process.stderr], daemon=True)
    reader.start()
    try:
        port = process.stdout.readline()
        assert port, repr(log)
        yield Api(int(port))
    finally:
        process.stdin.close()
        process.wait(PATIENCE_S)
        reader.join()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"t-{uuid4()}"


@pytest.fixture
def base(tenant: str) -> str:
    """The path of keys in that tenant."""
    return f"/v1/objects/by-key/ns/{tenant}"
