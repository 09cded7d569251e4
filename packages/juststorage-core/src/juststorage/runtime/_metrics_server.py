"""MetricsServer: what a process counts and whether it lives, where there is no HTTP interface.

It answers from threads of its own, so that whoever asks, and however slowly, is never in the way of
what the process is there for.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import BoundedSemaphore, Thread
from typing import Any, Final, Self

from juststorage.errors import Misconfigured
from juststorage.metrics import TEXT_FORMAT, Table

__all__ = ["MetricsServer"]

_BEAT_S: Final = 30.0
"""An event loop that did not turn for so long hangs."""

_IDLE_S: Final = 5.0
_CONNECTIONS: Final = 16
_PLAIN: Final = "text/plain; charset=utf-8"

_log: Final = logging.getLogger("juststorage.metrics")


class MetricsServer:
    """Answers `GET /metrics` and `GET /health`, and 404 to everything else.

    It listens from when it is made, and answers while its context is entered. It asks nobody for a
    key.

    Args:
        host: Address to listen on; an IPv6 one has colons.
        port: 1 to 65535.
        clock: Seconds that never go back; for the beat.

    Raises:
        Misconfigured: It cannot listen there.
    """

    def __init__(
        self, host: str, port: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._table: Table | None = None
        self._beat: float | None = None
        try:
            self._listener = _Listener(host, port, self._answer)
        except OSError as error:
            raise Misconfigured(
                f"gc.metrics_port: cannot listen on {host} port {port}: {error.strerror or error}"
            ) from error
        self._thread = Thread(target=self._listener.serve_forever, daemon=True, name="metrics")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def show(self, table: Table) -> None:
        """Answer `/metrics` with this table from now on; until then it is 404."""
        self._table = table

    def beat(self) -> None:
        """Say that the event loop turns; from the first time on expected every second or so."""
        self._beat = self._clock()

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, media type and body."""
        if path == "/metrics" and self._table is not None:
            return HTTPStatus.OK, TEXT_FORMAT, self._table.text()
        if path == "/health":
            if self._beat is None or self._clock() - self._beat < _BEAT_S:
                return HTTPStatus.OK, _PLAIN, b"ok\n"
            return HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, b"the event loop hangs\n"
        return HTTPStatus.NOT_FOUND, _PLAIN, b"there is no such resource\n"


class _Listener(ThreadingTCPServer):
    """One thread for each connection, and no more of them than there are slots."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, host: str, port: int, answer: Callable[[str], tuple[HTTPStatus, str, bytes]]
    ) -> None:
        self.answer = answer
        self._slots = BoundedSemaphore(_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("scrape_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = _IDLE_S

    def do_GET(self) -> None:
        self._send(*self.server.answer(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        self._send(*self.server.answer(""))

    do_HEAD = do_GET  # noqa: N815  the base's names
    do_DELETE = do_OPTIONS = do_PATCH = do_PUT = do_POST  # noqa: N815

    def version_string(self) -> str:
        return "juststorage"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        _log.debug(format, *args)

    def _send(self, status: HTTPStatus, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
