"""What is in the spans of requests, and which requests have any; a service in this process."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest

from juststorage.config import Log
from juststorage.runtime import set_up_logging
from juststorage_api.testing import open_in_process
from juststorage_localfs import plugin as localfs
from tests.tracing.receiver import Receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
NONE = "/v1/objects/by-key/docs/acme/none"
KEY_ROUTE = "/v1/objects/by-key/{namespace}/{tenant_id}/{key}"

Opening: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log of this process, as JSON lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    stream = io.StringIO()
    set_up_logging(Log(format="json"), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def opened(receiver: Receiver, log: io.StringIO, tmp_path: Path) -> Opening:
    """Opens a service that is traced, with these settings of `[tracing]`: a client of it."""
    blobs = {"hot": {"backend": "localfs", "localfs": {"root": str(tmp_path), "create_root": True}}}

    @asynccontextmanager
    async def open_service(**settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
        tracing = {"endpoint": receiver.url, **settings}
        config = {"blobs": blobs, "tracing": tracing}
        async with (
            open_in_process(config, plugins=[localfs]) as service,
            service.client() as client,
        ):
            yield client

    return open_service


def access_fields(log: io.StringIO) -> list[dict[str, Any]]:
    """The fields of the access lines."""
    lines = map(json.loads, log.getvalue().splitlines())
    return [line["fields"] for line in lines if line["target"] == "juststorage.access"]


def remove_blob(root: Path, size: int) -> None:
    """Lose the one stored file of this size."""
    [blob] = (each for each in root.rglob("*") if each.stat().st_size == size)
    blob.unlink()


async def test_an_answer_is_no_failure(opened: Opening, receiver: Receiver) -> None:
    """A 404 has its code; only what the service could not do is marked as failed."""
    async with opened() as client:
        assert (await client.get(NONE)).status_code == 404
    request = receiver.one(f"GET {KEY_ROUTE}")
    assert request.attributes["juststorage.code"] == "not_found"
    assert request.attributes["http.response.status_code"] == 404
    assert not any(span.failed for span in receiver.spans)


async def test_a_failure_is_told_by_its_code(
    opened: Opening, receiver: Receiver, tmp_path: Path
) -> None:
    """The span that failed and the request's say which error; its words stay in the log."""
    async with opened() as client:
        path = NONE.replace("none", "k")
        assert (await client.put(path, content=bytes(100_000))).status_code == 201
        remove_blob(tmp_path, 100_000)
        assert (await client.get(path)).status_code == 500
    request = receiver.one(f"GET {KEY_ROUTE}")
    assert request.failed
    assert request.attributes["error.type"] == "blob_missing"
    assert receiver.one("blobs.hot.open").attributes["error.type"] == "not_found"
    assert all(span.said == "" and span.events == 0 for span in receiver.spans)


async def test_no_secret_is_told(
    opened: Opening, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the caller's key, nor one in a path, nor the query is in what is sent."""
    caplog.set_level(logging.WARNING, logger="httpx2")  # the client logs its URLs
    odd = "js_" + "a" * 12 + "_" + "b" * 43
    async with opened() as client:
        answer = await client.get(f"{NONE}/{odd}?filename=secret-name")
        assert answer.status_code == 404
        key = client.headers["x-api-key"]
    text = repr([span.attributes for span in receiver.spans])
    assert "js_***" in text
    assert key not in text
    assert odd not in text
    assert "secret-name" not in text


@pytest.mark.parametrize(
    "field",
    [
        "00-zz-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        "",
        "\xff" * 500,
    ],
)
async def test_a_malformed_context_begins_a_trace(
    opened: Opening, receiver: Receiver, log: io.StringIO, field: str
) -> None:
    """What no tracer wrote is not gone on with, and no reason to refuse."""
    async with opened() as client:
        fields = [(b"traceparent", field.encode("latin-1"))]
        assert (await client.get(NONE, headers=fields)).status_code == 404
    request = receiver.one(f"GET {KEY_ROUTE}")
    assert request.parent == ""
    assert [line["trace_id"] for line in access_fields(log)] == [request.trace]


async def test_sampling(opened: Opening, receiver: Receiver, log: io.StringIO) -> None:
    """At 0 nothing that begins here is collected, and a caller's word still counts, both ways."""
    unsampled = f"00-{'2' * 32}-{PARENT}-00"
    async with opened(sampling_ratio=0.0) as client:
        await client.get(NONE)
        await client.get(NONE, headers={"traceparent": unsampled})
        await client.get(NONE, headers={"traceparent": SAMPLED})
    assert {span.trace for span in receiver.spans} == {TRACE}
    # A caller's id is logged all the same: somebody else may have collected the trace.
    assert [line.get("trace_id") for line in access_fields(log)] == [None, "2" * 32, TRACE]


async def test_a_public_service_begins_its_own(
    opened: Opening, receiver: Receiver, log: io.StringIO
) -> None:
    """Where callers are strangers their trace is linked, and neither gone on with nor obeyed."""
    async with opened(continue_traces=False) as client:
        await client.get(NONE, headers={"traceparent": SAMPLED.replace("-01", "-00")})
    request = receiver.one(f"GET {KEY_ROUTE}")
    assert request.trace != TRACE
    assert request.links == {PARENT}
    assert [line["trace_id"] for line in access_fields(log)] == [request.trace]


async def test_names_and_numbers_of_the_service(opened: Opening, receiver: Receiver) -> None:
    """A receiver tells services and their releases apart."""
    async with opened(service_name="models", headers={"authorization": "Bearer of-this-test"}):
        pass
    assert receiver.spans == []  # nothing was asked, so nothing is told
    async with opened(service_name="models", headers={"authorization": "Bearer of-this-test"}) as c:
        await c.get(NONE)
    resource = receiver.one(f"GET {KEY_ROUTE}").resource
    assert resource["service.name"] == "models"
    assert resource["service.version"]
    assert receiver.headers[0]["authorization"] == "Bearer of-this-test"
