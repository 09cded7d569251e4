"""Requests to a real server, as a receiver of traces sees them.

A server that has ended has sent all of its spans: no test waits for any.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tracing.receiver import Receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
KEY_PATH = "/v1/objects/by-key/docs/acme"
KEY_ROUTE = "/v1/objects/by-key/{namespace}/{tenant_id}/{key}"
SERVER, CLIENT = 2, 3


class Service:
    """A server that is traced, over SQLite and local files.

    Args:
        settings: Of the section `[tracing]`, beside the endpoint.
    """

    def __init__(self, serve: Any, data: Path, receiver: Receiver, **settings: str) -> None:
        named = {f"JUSTSTORAGE__TRACING__{name.upper()}": text for name, text in settings.items()}
        # The collector's own traces are another test's.
        ours = {
            "JUSTSTORAGE__TRACING__ENDPOINT": receiver.url,
            "JUSTSTORAGE__GC__ENABLED": "false",
        }
        self._server = serve("--data-dir", str(data), environment={**ours, **named})
        self._key = (data / "admin.key").read_text().strip()
        self._connection = http.client.HTTPConnection(*self._server.address, timeout=60)

    def call(self, method: str, target: str, body: bytes | None = None, **fields: str) -> int:
        """A request; its status."""
        headers = {"X-API-Key": self._key, **{n.replace("_", "-"): v for n, v in fields.items()}}
        self._connection.request(method, target, body=body, headers=headers)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def end(self) -> list[dict[str, Any]]:
        """Stop it; the fields of its access lines."""
        self.close()
        assert self._server.stop() == 0
        self.lines = [json.loads(line) for line in self._server.lines]
        return [line["fields"] for line in self.lines if line["target"] == "juststorage.access"]


@pytest.fixture
def service(serve: Any, tmp_path: Path, receiver: Receiver) -> Iterator[Service]:
    """A server that is traced."""
    made = Service(serve, tmp_path / "data", receiver)
    yield made
    made.close()


def test_a_callers_trace_goes_through(service: Service, receiver: Receiver) -> None:
    """From the caller's span by way of the request's to each call of a store, and in the log."""
    assert service.call("PUT", f"{KEY_PATH}/a%20b", b"x" * 100, traceparent=SAMPLED) == 201
    [line] = service.end()
    request = receiver.one(f"PUT {KEY_ROUTE}")
    assert (request.trace, request.parent, request.kind) == (TRACE, PARENT, SERVER)
    assert request.attributes == {
        "http.request.method": "PUT",
        "http.route": KEY_ROUTE,
        "url.path": f"{KEY_PATH}/a%20b",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 201,
        "http.request.body.size": 100,
        "http.response.body.size": line["sent_bytes"],
        "juststorage.tenant_id": "acme",
        "juststorage.request_id": line["request_id"],
    }
    assert not request.failed
    assert line["trace_id"] == TRACE
    below = receiver.below(request)
    assert {"metadata.objects.begin_reserved", "metadata.objects.commit"} <= set(below)
    assert "blobs.hot.put" in below
    assert all(span.trace == TRACE for span in receiver.spans)
    assert request.resource["service.name"] == "juststorage"


def test_a_statement_lies_below_its_call(service: Service, receiver: Receiver) -> None:
    """What the database was asked is a span of its own, and says for how many."""
    assert service.call("GET", f"{KEY_PATH}/none", traceparent=SAMPLED) == 404
    service.end()
    call = receiver.one("metadata.objects.find_by_key")
    assert call.attributes["juststorage.backend"] == "sqlite"
    [statement] = [span for span in receiver.spans if span.parent == call.id]
    assert (statement.name, statement.kind) == ("look-up statements", CLIENT)
    assert statement.attributes == {"db.system.name": "sqlite", "juststorage.shared_by": 1}


def test_no_span_for_a_piece(service: Service, receiver: Receiver) -> None:
    """A large body makes as many spans as one that is an eightieth of it, in and out."""
    assert service.call("GET", f"{KEY_PATH}/none") == 404  # the key of the caller is known now
    names = []
    for number, size in enumerate([200_000, 16_000_000]):
        trace = f"{number + 1:032x}"
        field = f"00-{trace}-{PARENT}-01"
        assert service.call("PUT", f"{KEY_PATH}/{size}", bytes(size), traceparent=field) == 201
        assert service.call("GET", f"{KEY_PATH}/{size}", traceparent=field) == 200
        names.append(trace)
    service.end()
    small, large = (
        Counter(span.name for span in receiver.spans if span.trace == trace) for trace in names
    )
    assert small == large
    assert small["blobs.hot.stage"] == small["blobs.hot.place"] == small["blobs.hot.open"] == 1


def test_probes_make_no_traces(service: Service, receiver: Receiver) -> None:
    """What machines ask for every few seconds would hide the rest; in a trace it belongs there."""
    for path in ("/health", "/health/ready", "/health/startup", "/metrics"):
        assert service.call("GET", path) == 200
    assert service.call("GET", "/health/ready", traceparent=SAMPLED) == 200
    service.end()
    assert {span.trace for span in receiver.spans} == {TRACE}
    assert receiver.one("GET /health/ready").attributes["http.route"] == "/health/ready"
