"""Backends that fail: the documented status, no word too many, and nothing half done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from juststorage.errors import JustStorageError, StorageFull, Unavailable
from juststorage.plugins import (
    AuthenticatorBackend,
    BlobStoreBackend,
    NoOptions,
    OpenContext,
    hookimpl,
)
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.ports import Authenticator, BlobStore
from juststorage.runtime import Runtime, open_runtime
from juststorage.testing.faults import CorruptingBlobStore, FailingBlobStore

URL = "/v1/objects/by-key/ns/t/k"
WHOLE = {"type": "http.request", "body": b"hello", "more_body": False}
LENGTH = {"content-length": "5"}


class Broken:
    """A plugin: the memory blob store behind a wrapper, and an authenticator that raises."""

    def __init__(self, wrap: Callable[[BlobStore], BlobStore], denies: Exception | None) -> None:
        self._wrap = wrap
        self._denies = denies

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[NoOptions]]:
        """Offer the wrapped store."""

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
            async with MEMORY_BLOBS.open(options, context) as store:
                yield self._wrap(store)

        yield BlobStoreBackend(
            name="broken",
            summary="Fails",
            options=NoOptions,
            open=opened,
            capabilities=MEMORY_BLOBS.capabilities,
        )

    @hookimpl
    def juststorage_authenticators(self) -> Iterable[AuthenticatorBackend[NoOptions]]:
        """Offer the authenticator."""
        denies = self._denies

        class Denies(Authenticator):
            async def authenticate(self, credentials: Any) -> Any:
                if denies is not None:
                    raise denies

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
            yield Denies()

        yield AuthenticatorBackend(name="denying", summary="Fails", options=NoOptions, open=opened)


@pytest.fixture
def broken(started: Callable[..., Any]) -> Callable[..., Any]:
    """Makes an application on a store that is wrapped, or with an authenticator that raises."""

    def make(
        wrap: Callable[[BlobStore], BlobStore] = lambda store: store,
        denies: Exception | None = None,
    ) -> Any:
        def opened() -> AbstractAsyncContextManager[Runtime]:
            config = {
                "metadata": {"backend": "memory"},
                "blobs": {"hot": {"backend": "broken"}},
                "auth": {
                    "chain": ["denying", "api_key"],
                    "api_key": {"bootstrap_key": "k" * 32},
                },
                "uploads": {"small_bytes": 16},
            }
            return open_runtime(config, plugins=[Broken(wrap, denies)])

        return started(opened)

    return make


def told(sent: list[dict[str, Any]]) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers and document of an answer."""
    return (
        sent[0]["status"],
        dict(sent[0]["headers"]),
        json.loads(b"".join(part["body"] for part in sent[1:])),
    )


def failing(error: type[JustStorageError], *methods: str) -> Callable[[BlobStore], BlobStore]:
    """A wrapper that fails some methods."""
    return lambda store: FailingBlobStore(
        store, methods=set(methods), error=lambda: error("told to fail")
    )


@pytest.mark.parametrize("length", [5, 50])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Unavailable, 503, "unavailable"), (StorageFull, 507, "storage_full")],
)
async def test_a_store_that_takes_nothing(
    broken: Callable[..., Any], length: int, error: type[JustStorageError], status: int, code: str
) -> None:
    """An upload that cannot be stored says whether to come back, and leaves the key free."""
    async with broken(failing(error, "put", "stage")) as app:
        body = {"type": "http.request", "body": bytes(length), "more_body": False}
        sent = await app.call("PUT", URL, body, headers={"content-length": str(length)})
        found, headers, document = told(sent)
        assert (found, document["code"]) == (status, code)
        assert (b"retry-after" in headers) == (status == 503)
        assert told(await app.call("GET", URL))[0] == 404


async def test_a_store_that_does_not_open(broken: Callable[..., Any]) -> None:
    """Before the head is sent, a read that fails is still an error."""
    async with broken(failing(Unavailable, "open")) as app:
        await app.call("PUT", URL, WHOLE, headers=LENGTH)
        status, headers, document = told(await app.call("GET", URL))
    assert (status, document["code"]) == (503, "unavailable")
    assert headers[b"retry-after"] == b"1"


async def test_wrong_bytes_are_not_sent(broken: Callable[..., Any]) -> None:
    """A small body is checked against its hash; 500, and not a byte of it."""
    async with broken(CorruptingBlobStore) as app:
        await app.call("PUT", URL, WHOLE, headers=LENGTH)
        status, _, document = told(await app.call("GET", URL))
    assert (status, document["code"]) == (500, "internal")


async def test_a_part_that_is_not_ready_is_named(broken: Callable[..., Any]) -> None:
    """503 as a problem document, with every part in it; liveness does not care."""
    async with broken(failing(Unavailable, "ping")) as app:
        status, headers, document = told(await app.call("GET", "/health/ready"))
        assert told(await app.call("GET", "/health"))[0] == 200
    assert (status, document["code"]) == (503, "unavailable")
    assert b"retry-after" in headers
    assert document["detail"] == "not ready: blobs.hot"
    parts = {part["name"]: part["ok"] for part in document["parts"]}
    assert parts["blobs.hot"] is False
    assert parts["metadata"] is True


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("the provider is away"), 503, "unavailable"),
        (ValueError("/secret/path"), 500, "internal"),
    ],
)
async def test_an_authenticator_that_fails(
    broken: Callable[..., Any], error: Exception, status: int, code: str
) -> None:
    """Nobody is let in, and nothing is told that is not for clients."""
    async with broken(denies=error) as app:
        sent = await app.call("GET", "/v1/objects?tenant_id=t")
        found, _, document = told(sent)
    assert (found, document["code"]) == (status, code)
    assert b"secret" not in sent[1]["body"]


async def test_the_next_authenticator_is_asked(broken: Callable[..., Any]) -> None:
    """One that does not know the credential passes it on."""
    async with broken() as app:
        assert told(await app.call("GET", "/v1/objects?tenant_id=t"))[0] == 200
