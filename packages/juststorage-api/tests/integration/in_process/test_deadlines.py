"""Backends that do not answer: the client is told in time, and what runs is not torn apart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from juststorage.plugins import BlobStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.runtime import Runtime, open_runtime

URL = "/v1/objects/by-key/ns/t/k"
KEY = "k" * 32


class Stuck(MemoryBlobStore):
    """A memory store whose methods wait for an event, once they are told to."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.sticking: set[str] = set()
        self.reached = anyio.Event()
        self.released = anyio.Event()

    async def _stick(self, method: str) -> None:
        if method in self.sticking:
            self.reached.set()
            await self.released.wait()

    async def open(self, locator: str) -> Any:
        await self._stick("open")
        return await super().open(locator)

    async def stage(self, upload_id: Any) -> Any:
        await self._stick("stage")
        return await super().stage(upload_id)

    async def put(self, upload_id: Any, content_hash: Any, data: bytes) -> str:
        await self._stick("put")
        return await super().put(upload_id, content_hash, data)

    async def ping(self) -> None:
        await self._stick("ping")
        await super().ping()


class Plugin:
    """Offers the store, and remembers it."""

    store: Stuck

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[NoOptions]]:
        """Offer it."""

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[Stuck]:
            self.store = Stuck(context.clock)
            yield self.store

        yield BlobStoreBackend(
            name="stuck",
            summary="Waits",
            options=NoOptions,
            open=opened,
            capabilities=MEMORY_BLOBS.capabilities,
        )


@pytest.fixture
def plugin() -> Plugin:
    """The plugin of this test."""
    return Plugin()


@pytest.fixture
async def app(started: Callable[..., Any], plugin: Plugin) -> AsyncIterator[Any]:
    """A started application whose requests have a fifth of a second."""

    def opened() -> AbstractAsyncContextManager[Runtime]:
        config = {
            "metadata": {"backend": "memory"},
            "blobs": {"hot": {"backend": "stuck"}},
            "auth": {"chain": ["api_key"], "api_key": {"bootstrap_key": KEY}},
            "uploads": {"small_bytes": 16, "idle_timeout_s": 5},
            "limits": {"request_timeout_s": 0.2},
        }
        return open_runtime(config, plugins=[plugin])

    async with started(opened) as application:
        yield application


def body(data: bytes) -> dict[str, Any]:
    """A body in one message."""
    return {"type": "http.request", "body": data, "more_body": False}


def told(sent: list[dict[str, Any]]) -> tuple[int, str, str]:
    """Status, code and Retry-After of an answer that was given once."""
    assert [message["type"] for message in sent].count("http.response.start") == 1
    headers = dict(sent[0]["headers"])
    code = json.loads(b"".join(part["body"] for part in sent[1:]))["code"]
    return sent[0]["status"], code, headers.get(b"retry-after", b"").decode()


LATE = (503, "unavailable", "1")


async def begun(app: Any, store: Stuck, *call: Any, **options: Any) -> list[dict[str, Any]]:
    """Make a call that sticks, let it go once it is answered; every message of the answer."""
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        await app.call(*call, sent=sent, **options)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await store.reached.wait()
        with anyio.fail_after(5):
            while len(sent) < 2:
                await anyio.lowlevel.checkpoint()
        store.released.set()
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_download_that_does_not_begin(app: Any, plugin: Plugin, method: str) -> None:
    """503 in time; the handler that comes back later has nobody to answer, and nothing to say."""
    await app.call("PUT", URL, body(b"hello"), headers={"content-length": "5"})
    plugin.store.sticking = {"open"}
    sent = await begun(app, plugin.store, method, URL)
    if method == "GET":
        assert told(sent) == LATE
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 503
    plugin.store.sticking = set()
    assert (await app.call("GET", URL))[0]["status"] == 200


async def test_a_small_upload_is_not_torn_apart(app: Any, plugin: Plugin) -> None:
    """What is being committed goes on: 503 leaves open whether it happened, and here it does."""
    plugin.store.sticking = {"put"}
    sent = await begun(
        app, plugin.store, "PUT", URL, body(b"hello"), headers={"content-length": "5"}
    )
    assert told(sent) == LATE
    assert (await app.call("GET", URL))[1]["body"] == b"hello"


async def test_a_large_upload_is_given_up(app: Any, plugin: Plugin) -> None:
    """Before its body was asked for it is cancelled, and its key is free."""
    plugin.store.sticking = {"stage"}
    data = bytes(100)
    with anyio.fail_after(5):
        sent = await app.call("PUT", URL, body(data), headers={"content-length": "100"})
    assert told(sent) == LATE
    plugin.store.sticking = set()
    sent = await app.call("PUT", URL, body(data), headers={"content-length": "100"})
    assert sent[0]["status"] == 201


async def test_a_route_is_cancelled(app: Any, plugin: Plugin) -> None:
    """Calls of the framework end: nothing of theirs runs on."""
    plugin.store.sticking = {"ping"}
    with anyio.fail_after(1.5):  # readiness itself would wait for two seconds
        sent = await app.call("GET", "/health/ready")
    assert told(sent) == LATE


async def test_json_that_does_not_come(app: Any) -> None:
    """A body that is JSON has as long as a request has: then it is 408."""
    begun = {"type": "http.request", "body": b"{", "more_body": True}
    headers = {"content-type": "application/json", "content-length": "10"}
    with anyio.fail_after(5):
        sent = await app.call("POST", "/v1/objects/search", begun, headers=headers)
    assert told(sent) == (408, "upload_too_slow", "")
