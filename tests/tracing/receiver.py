"""A receiver of OTLP over HTTP, on loopback and in this process: what an exporter sends to."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

__all__ = ["Received", "Receiver", "receiving"]


class Received:
    """A span as it came over the wire."""

    def __init__(self, span: Any, resource: Any) -> None:
        self.name: str = span.name
        self.trace: str = span.trace_id.hex()
        self.id: str = span.span_id.hex()
        self.parent: str = span.parent_span_id.hex()
        self.kind: int = span.kind
        self.failed: bool = span.status.code == Status.STATUS_CODE_ERROR
        self.said: str = span.status.message
        self.events: int = len(span.events)
        self.links: set[str] = {link.span_id.hex() for link in span.links}
        self.attributes = _plain(span.attributes)
        self.resource = _plain(resource.attributes)

    def __repr__(self) -> str:
        return f"<{self.name} {self.id} in {self.parent} {self.attributes}>"


class Receiver:
    """Keeps what it is sent.

    Args:
        port: Where it listens.
        answers: Let go to answer; while it is not set, every call waits.
    """

    def __init__(self, port: int, answers: threading.Event) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/traces"
        self.answers = answers
        self.status = 200
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []
        self.came = threading.Event()

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Read one call."""
        self.headers.append(headers)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for of_scope in of_resource.scope_spans:
                self.spans += [Received(span, of_resource.resource) for span in of_scope.spans]
        self.came.set()

    def named(self, name: str) -> list[Received]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Received:
        """The only span of this name."""
        [span] = self.named(name)
        return span

    def below(self, span: Received) -> list[str]:
        """The names of the spans right below this one, in the order of their ends."""
        return [each.name for each in self.spans if each.parent == span.id]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs."""
    answers = threading.Event()
    answers.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            answers.wait(60)
            self.send_response(receiver.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(server.server_port, answers)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            answers.set()
            server.shutdown()
            thread.join()


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
