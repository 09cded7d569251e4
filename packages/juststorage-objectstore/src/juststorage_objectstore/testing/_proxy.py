"""A line to an S3 server that fails when a test says so.

It stands between client and server on real sockets, understands requests, and leaves their bytes
alone, so that signatures hold. What does not come whole, it does not pass on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultyProxy", "faulty_proxy"]

Fault = Literal["status", "cut", "lose_answer", "cut_answer", "hold", "late"]

_SERVER_TIMEOUT_S: Final = 30.0
_TOLD: Final = b"<Error><Code>Told</Code><Message>told to fail</Message></Error>"


@dataclass
class _Rule:
    fault: Fault
    method: str
    match: re.Pattern[str]
    times: int
    skip: int
    status: int
    body_bytes: int
    release: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class FaultyProxy:
    """Passes on what no rule is for. Made by `faulty_proxy`; may be told at any time.

    `seen` has a line for each request, such as `PUT /bucket/key`, and `fields` its header
    fields, by lower-case names. `under_way` has the lines of those that have come and are not done
    with, whether or not their clients still wait. `faults` is how many have failed as they were
    told to; a body that is shorter than what `cut_answer` lets through has not.
    """

    def __init__(self, endpoint: str) -> None:
        self._server = urlsplit(endpoint).netloc
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._late: list[_Request] = []
        self.seen: list[str] = []
        self.fields: list[dict[str, str]] = []
        self.held = threading.Event()
        self.under_way: list[str] = []
        self.faults = 0
        self.endpoint = ""

    def on(
        self,
        method: str,
        fault: Fault,
        *,
        match: str = "",
        times: int = 1,
        skip: int = 0,
        status: int = 500,
        body_bytes: int = 0,
    ) -> None:
        """Let requests fail from now on.

        Args:
            method: Of which method.
            fault: `status`: an answer with that status, and the server never hears of it. `cut`:
                the connection ends before the server hears of it. `lose_answer`: the server does
                it, and the connection ends instead of the answer. `cut_answer`: the connection ends
                in the answer's body. `hold`: nothing happens until `release`. `late`: as `cut`, and
                `deliver` makes the server do it.
            match: A regular expression that the path with its query has somewhere.
            times: How often.
            skip: How many such requests pass before.
            status: For `status`.
            body_bytes: For `cut_answer`: how much of the body comes through.
        """
        with self._lock:
            rule = _Rule(fault, method, re.compile(match), times, skip, status, body_bytes)
            self._rules.append(rule)

    def heal(self) -> None:
        """Forget all rules; what is held goes on."""
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            rule.release.set()

    def count(self, method: str, match: str = "") -> int:
        """How many such requests have come."""
        return sum(
            line.startswith(f"{method} ") and re.search(match, line) is not None
            for line in list(self.seen)
        )

    def deliver(self) -> list[int]:
        """Send the server what was kept as `late`; its answers' status."""
        with self._lock:
            late, self._late = self._late, []
        return [self.ask(request)[0] for request in late]

    def ask(self, request: _Request) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send a request to the server."""
        connection = HTTPConnection(self._server, timeout=_SERVER_TIMEOUT_S)
        try:
            connection.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers:
                connection.putheader(name, value)
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def rule_for(self, request: _Request) -> _Rule | None:
        """The rule that this request meets; it is used up by that."""
        with self._lock:
            self.seen.append(f"{request.method} {request.path}")
            self.fields.append({name.lower(): value for name, value in request.headers})
            for rule in self._rules:
                if rule.method != request.method or not rule.match.search(request.path):
                    continue
                if rule.skip:
                    rule.skip -= 1
                elif rule.times:
                    rule.times -= 1
                    return rule
        return None

    @contextmanager
    def passing(self, request: _Request) -> Iterator[None]:
        """One more is under way, as long as the block lasts."""
        line = f"{request.method} {request.path}"
        with self._lock:
            self.under_way.append(line)
        try:
            yield
        finally:
            with self._lock:
                self.under_way.remove(line)

    def count_fault(self) -> None:
        """One more has failed."""
        with self._lock:
            self.faults += 1

    def keep(self, request: _Request) -> None:
        """Keep a request for `deliver`."""
        with self._lock:
            self._late.append(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        """Any method."""
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            # Whoever left in the middle of a body has asked for nothing. Passed on as far as it
            # came, it would have the server wait for the rest, and be under way, for half a minute.
            self.close_connection = True
            return
        request = _Request(self.command, self.path, self.headers.items(), body)
        with self.proxy.passing(request):
            self._pass_on(request)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815  as above

    def _pass_on(self, request: _Request) -> None:
        rule = self.proxy.rule_for(request)
        fault = rule.fault if rule is not None else None
        # Counted before the client can see it, who may then ask for the count.
        if fault not in {None, "cut_answer"}:
            self.proxy.count_fault()
        if rule is not None and fault == "hold":
            self.proxy.held.set()
            rule.release.wait(_SERVER_TIMEOUT_S)
        elif rule is not None and fault == "status":
            self._answer(rule.status, [("Content-Type", "application/xml")], _TOLD)
            return
        elif fault in {"cut", "late"}:
            if fault == "late":
                self.proxy.keep(request)
            self.close_connection = True
            return
        status, headers, answer = self.proxy.ask(request)
        if fault == "lose_answer":
            self.close_connection = True
            return
        if rule is not None and fault == "cut_answer":
            if len(answer) > rule.body_bytes:
                self.proxy.count_fault()
            self._answer(status, headers, answer[: rule.body_bytes], of=len(answer))
            self.close_connection = True
            return
        self._answer(status, headers, answer)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, of: int | None = None
    ) -> None:
        self.send_response_only(status)
        length = next((v for k, v in headers if k.lower() == "content-length"), None)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        if self.command == "HEAD" and length is not None:
            self.send_header("Content-Length", length)
        elif status != 204:
            self.send_header("Content-Length", str(len(body) if of is None else of))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what tests are about."""


@contextmanager
def faulty_proxy(endpoint: str) -> Iterator[FaultyProxy]:
    """A proxy to `endpoint` for as long as the block lasts."""
    proxy = FaultyProxy(endpoint)
    handler = type("_Bound", (_Handler,), {"proxy": proxy})
    listener = _Listener(("127.0.0.1", 0), handler)
    proxy.endpoint = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.heal()
        listener.shutdown()
        thread.join()
        listener.server_close()
