"""Bytes to a server and back, as they are: nothing here repairs what a test wants to be wrong."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KEY", "PATIENCE_S", "Answer", "Service", "parse", "read_answers"]

KEY = "the-key-of-these-tests-only"
PATIENCE_S = 30.0

_INSIDE = re.compile(
    rb"Traceback|File \"|\.py\b|sqlite|asyncpg|sqlalchemy|postgres|litestar|msgspec|granian"
    rb"|\bSELECT\b|\bINSERT\b|site-packages|/tmp/|/home/|/ro[o]t/",
    re.IGNORECASE,
)
"""What no answer may tell: the inside of the service, its drivers, its paths."""


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes
    listed: list[tuple[str, str]] = field(default_factory=list, repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the problem, or "" where the server answered for itself, without a body."""
        if not self.body:
            return ""
        assert self.headers["content-type"] == "application/problem+json", self
        code: str = self.json["code"]
        return code

    def is_decent(self) -> bool:
        """Whether it keeps to itself how the service works inside."""
        told = [line for line in self.listed if line[0] != "server"]
        return self.status < 500 and not _INSIDE.search(
            self.body + repr(told).encode("latin-1", "replace")
        )


@dataclass
class Service:
    """A running server, and the name of its metadata store."""

    port: int
    metadata: str

    def connect(self) -> socket.socket:
        """A connection, whose reads give up after a while."""
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire

    def head(
        self, method: str, target: str, *fields: str, key: str | None = KEY, host: str = "x"
    ) -> bytes:
        """The head of a request."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
        if key is not None:
            lines.append(f"X-API-Key: {key}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, data: bytes, *, half_close: bool = True, method: str = "GET") -> list[Answer]:
        """Send all of it on a connection of its own; every answer until the server closes."""
        with self.connect() as wire:
            try:
                wire.sendall(data)
                if half_close:
                    wire.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the server has had enough; what it said is still to be read
            return read_answers(wire, method)

    def converse(self, requests: list[bytes]) -> list[Answer]:
        """Whole requests, one behind the other; their answers, in order.

        They go on one connection for as long as the server keeps it. It may close one on which
        nothing comes for a second, which is soon when this process gets no processor: a request
        that it has not begun to answer goes once more, and must be answered on a connection of its
        own.
        """
        answers: list[Answer] = []
        while len(answers) < len(requests):
            answered = self._converse(requests[len(answers) :])
            assert answered, f"the server hung up after {requests[len(answers)][:200]!r}"
            answers += answered
        return answers

    def _converse(self, requests: list[bytes]) -> list[Answer]:
        """What the server answers on one connection, until it closes that."""
        answers: list[Answer] = []
        received = b""
        with self.connect() as wire, suppress(BrokenPipeError, ConnectionResetError):
            for request in requests:
                wire.sendall(request)
                method = request.split(b" ", 1)[0].decode("latin-1")
                while (found := parse(received, method)) is None:
                    data = wire.recv(65_536)
                    if not data:
                        assert not received, f"it hung up within its answer to {request[:200]!r}"
                        return answers
                    received += data
                answer, received = found
                answers.append(answer)
        return answers

    def ask(
        self,
        method: str,
        target: str,
        *fields: str,
        body: bytes | None = None,
        key: str | None = KEY,
    ) -> Answer:
        """One request, well formed in its framing; its answer."""
        if body is not None:
            fields = (*fields, f"Content-Length: {len(body)}")
        head = self.head(method, target, *fields, "Connection: close", key=key)
        answers = self.send(head + (body or b""), half_close=False, method=method)
        assert len(answers) == 1, answers
        return answers[0]


def read_answers(wire: socket.socket, method: str = "GET") -> list[Answer]:
    """Everything that the server says until it closes the connection."""
    received = bytearray()
    try:
        while data := wire.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    answers = []
    rest = bytes(received)
    while rest:
        found = parse(rest, method)
        assert found is not None, rest
        answer, rest = found
        if answer.status != 100:
            answers.append(answer)
    return answers


def parse(data: bytes, method: str) -> tuple[Answer, bytes] | None:
    """The first response in the bytes, and what follows it; None where it is not all there."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) ?.*", first)
    assert match, first
    listed = [(name.lower(), value.strip()) for name, _, value in (s.partition(":") for s in lines)]
    headers: Mapping[str, str] = dict(listed)
    status = int(match[1])
    length = int(headers.get("content-length", 0))
    if method == "HEAD" or status in {100, 204, 304}:
        length = 0
    assert headers.get("transfer-encoding") is None, "our answers have a length"
    if len(rest) < length:
        return None
    return Answer(status, dict(headers), rest[:length], listed), rest[length:]
