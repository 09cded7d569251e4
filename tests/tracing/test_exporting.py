"""The way out: what it costs when nobody listens, and what is refused before anything starts."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from juststorage.config import Config
from juststorage.errors import Misconfigured, Unavailable
from juststorage.runtime import check_selection, open_runtime
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth.jwt._reading import url_reader
from tests.tracing.receiver import Receiver

KEY = "the-key-of-these-tests-only"
SECRET = "a-secret-of-the-receivers"
MEMORY = {
    "JUSTSTORAGE__METADATA__BACKEND": "memory",
    "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
    "JUSTSTORAGE__ALLOW_EPHEMERAL": "true",
    "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
}
NOBODY = "http://127.0.0.1:9/v1/traces"
OPEN: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": []},
}


def traced(endpoint: str, **settings: str) -> dict[str, str]:
    """The environment of a server that is traced."""
    named = {f"JUSTSTORAGE__TRACING__{name.upper()}": text for name, text in settings.items()}
    return {**MEMORY, "JUSTSTORAGE__TRACING__ENDPOINT": endpoint, **named}


def messages_of(server: Any, target: str) -> list[str]:
    """What a logger said."""
    lines = map(json.loads, server.lines)
    return [line["message"] for line in lines if line["target"].startswith(target)]


def test_nobody_listens(serve: Any) -> None:
    """Every request is answered, the log says so once and without the secret, and it ends."""
    # An attempt takes a second at most, so that there are several.
    settings = {"headers__authorization": SECRET, "timeout_s": "0.2", "flush_timeout_s": "2"}
    server = serve(environment=traced(NOBODY, **settings))
    for _ in range(2):
        for _ in range(50):
            assert server.call("GET", "/v1/objects?tenant_id=acme")[0] == 200
        time.sleep(1.1)  # the pause between two batches
    assert server.stop() == 0
    told = messages_of(server, "opentelemetry")
    assert told
    assert len(told) == len({message.partition(" batch")[0] for message in told})
    assert SECRET not in "".join(server.lines)


def test_nobody_answers(serve: Any, receiver: Receiver) -> None:
    """A receiver that hangs keeps neither a request nor, beyond its time, the end."""
    receiver.answers.clear()
    server = serve(environment=traced(receiver.url, timeout_s="60", flush_timeout_s="0.5"))
    assert server.call("GET", "/v1/objects?tenant_id=acme")[0] == 200
    assert receiver.came.wait(30)
    assert server.call("GET", "/v1/objects?tenant_id=acme")[0] == 200
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 30  # of 60 that a call may take
    assert messages_of(server, "juststorage.tracing") == [
        "the last spans were not sent within 0.5 s"
    ]


def test_more_than_the_queue_holds(serve: Any, receiver: Receiver) -> None:
    """What does not fit is dropped; requests go on, and memory does not grow with them."""
    receiver.answers.clear()
    server = serve(environment=traced(receiver.url, queue_spans="512", flush_timeout_s="0.1"))
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    for _ in range(700):
        connection.request("GET", "/v1/objects?tenant_id=acme", headers={"X-API-Key": KEY})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()
    assert server.stop() == 0
    assert messages_of(server, "opentelemetry.sdk") == ["Queue full, dropping Span."]


def test_several_workers(serve: Any, receiver: Receiver) -> None:
    """Each has an exporter of its own, begun after it was forked."""
    server = serve(environment={**traced(receiver.url), "JUSTSTORAGE__SERVER__WORKERS": "2"})
    server.wait_workers(2)
    for _ in range(30):
        assert server.call("GET", "/v1/objects?tenant_id=acme")[0] == 200
    assert server.stop() == 0
    assert len(receiver.named("GET /v1/objects")) == 30


@pytest.mark.parametrize(
    ("tracing", "words"),
    [
        ({"endpoint": "collector:4318"}, "must be an http or https URL"),
        ({"endpoint": "http://"}, "must be an http or https URL"),
        ({"endpoint": "http://[::1/v1/traces"}, "must be an http or https URL"),
        ({"endpoint": f"http://me:{SECRET}@host/v1/traces"}, "without a user or password"),
        ({"endpoint": NOBODY, "headers": {"a b": SECRET}}, "tracing.headers.a b: is no header"),
        (
            {"endpoint": NOBODY, "headers": {"authorization": f"{SECRET}\nx: y"}},
            "tracing.headers.authorization: is no header",
        ),
    ],
)
def test_what_is_refused(tracing: dict[str, Any], words: str) -> None:
    """A wrong setting is told before anything opens, and never by its secret."""
    with pytest.raises(Misconfigured) as refused:
        check_selection(Config.from_mapping({**OPEN, "tracing": tracing}))
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)


async def test_it_is_refused_where_it_opens() -> None:
    """Whoever opens a service without having checked is told the same."""
    with pytest.raises(Misconfigured, match="must be an http or https URL"):
        async with open_runtime({**OPEN, "tracing": {"endpoint": "nowhere"}}):
            pass


def run_alone(program: str) -> str:
    """What a program prints that runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize("package", ["opentelemetry", "opentelemetry.sdk"])
def test_without_the_extra(package: str) -> None:
    """The sentence names what to install."""
    program = f"""
import sys
sys.modules[{package!r}] = None
from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.runtime import check_selection
try:
    check_selection(Config.from_mapping({{**{OPEN!r}, "tracing": {{"endpoint": {NOBODY!r}}}}}))
except Misconfigured as error:
    print(error)
"""
    assert run_alone(program).endswith("are missing: install juststorage-core[otel]")


def test_off_it_costs_nothing() -> None:
    """No library of it is imported, and nothing stands before a method of a store.

    Litestar imports names of attributes, where they are installed; those are no more than texts.
    """
    program = """
import asyncio, sys
from juststorage_api.testing import open_in_process

async def main():
    async with open_in_process() as service:
        async with service.client() as client:
            await client.put("/v1/objects/by-key/ns/acme/k", content=b"x")
            await client.get("/v1/objects/by-key/ns/acme/k")
        runtime = service.runtime
        parts = [runtime.metadata, runtime.metadata.objects, *runtime.blobs.values()]
        print([n for part in parts for n in vars(part) if callable(getattr(type(part), n, 0))])
    ours = ("opentelemetry.sdk", "opentelemetry.trace", "_traced", "_otel")
    print([name for name in sys.modules if any(each in name for each in ours)])

asyncio.run(main())
"""
    assert run_alone(program).splitlines() == ["[]", "[]"]


@contextmanager
def key_server() -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """A server of keys that has none: its URL, and the fields of each call."""
    calls: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append({name.lower(): value for name, value in self.headers.items()})
            self.send_error(503)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys", calls
        finally:
            server.shutdown()
            thread.join()


async def test_a_call_to_an_issuer(receiver: Receiver) -> None:
    """Where keys are fetched the trace goes on, by a field of the call."""
    with key_server() as (url, calls):
        options = JwtOptions(issuer="https://issuer.example", audience=("a",), jwks_url=url)
        async with (
            open_runtime({**OPEN, "tracing": {"endpoint": receiver.url}}) as runtime,
            url_reader(options, runtime.tracer) as read,
        ):
            with pytest.raises(Unavailable):
                await read()
    call = receiver.one("GET")
    assert call.kind == 3
    assert call.failed
    assert call.attributes["error.type"] == "unavailable"
    [fields] = calls
    assert fields["traceparent"].startswith(f"00-{call.trace}-{call.id}-")
