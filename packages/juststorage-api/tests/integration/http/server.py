"""A server for the tests: the real application under Granian, on memory stores, with known keys.

Prints its port once it accepts connections, and ends when its standard input does. Beside the
application it answers `/-/state` (what the stores hold) and `/-/lose?<hash>` (drop those bytes), so
that tests can look behind the interface. The storage class `cold` is a store that breaks off every
read halfway, or never goes on where the size is odd, and has room for 10 MB.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import uvloop

from juststorage.config import Config, Log
from juststorage.domain import (
    ApiKey,
    ApiKeySecret,
    Namespace,
    ObjectId,
    Scope,
    StorageClass,
    TenantId,
)
from juststorage.errors import Unavailable
from juststorage.plugins import BlobCapabilities, BlobStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins._guards import unwrap
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.ports import BlobReader, BlobStore, Space
from juststorage.runtime import Runtime, open_runtime, set_up_logging
from juststorage_api._serve._address import HeldAddress
from juststorage_api._serve._lifespan import lifespan
from juststorage_api._serve._worker import Worker
from juststorage_api.application import create_application

OBJECTS = frozenset({Scope.OBJECTS_READ, Scope.OBJECTS_WRITE, Scope.OBJECTS_DELETE})

KEYS: dict[str, tuple[frozenset[str] | None, frozenset[Scope], frozenset[str] | None]] = {
    "admin": (None, frozenset({Scope.ADMIN}), None),
    "one": (frozenset({"t1"}), OBJECTS, None),
    "other": (frozenset({"t2"}), OBJECTS, None),
    "both": (frozenset({"t1", "t2"}), OBJECTS, None),
    "reader": (frozenset({"t1"}), frozenset({Scope.OBJECTS_READ}), None),
    "writer": (frozenset({"t1"}), frozenset({Scope.OBJECTS_WRITE}), None),
    "deleter": (frozenset({"t1"}), frozenset({Scope.OBJECTS_DELETE}), None),
    "manager": (frozenset({"t1"}), frozenset({Scope.KEYS_MANAGE}), None),
    "confined": (frozenset({"t1"}), OBJECTS, frozenset({"open"})),
}

CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}, "cold": {"backend": "brittle"}},
    "auth": {"chain": ["api_key"]},
    "uploads": {
        "max_bytes": 20_000_000,
        "idle_timeout_s": 0.5,
        "rate_grace_s": 0.5,
        "min_rate_bytes_s": 0,
    },
}


class _BrittleReader(BlobReader):
    def __init__(self, inner: BlobReader) -> None:
        self._inner = inner
        self.size_bytes = inner.size_bytes

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        left = length // 2
        async for chunk in self._inner.chunks(start, length):
            if left <= 0 and self.size_bytes % 2:
                await anyio.sleep_forever()
            if left <= 0:
                raise Unavailable("the volume went away: /secret/path")
            yield chunk
            left -= len(chunk)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BrittleBlobStore(MemoryBlobStore):
    async def open(self, locator: str) -> BlobReader:
        return _BrittleReader(await super().open(locator))

    async def space(self) -> Space:
        return Space(total_bytes=10_000_000, free_bytes=10_000_000)


class Brittle:
    """A plugin."""

    @staticmethod
    @asynccontextmanager
    async def _open(options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
        yield _BrittleBlobStore(context.clock)

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[NoOptions]]:
        """Offer the store that breaks."""
        yield BlobStoreBackend(
            name="brittle",
            summary="Breaks off reads",
            options=NoOptions,
            open=self._open,
            capabilities=BlobCapabilities(
                trash=True, fixed_names=True, space=True, stable_readers=True
            ),
        )


async def create_keys(runtime: Runtime) -> None:
    """The keys of `KEYS`: each name is in its secret."""
    for name, (tenants, scopes, namespaces) in KEYS.items():
        secret = ApiKeySecret(f"{name}-" + "k" * 32)
        await runtime.metadata.api_keys.create(
            ApiKey(
                id=ObjectId.new(),
                name=name,
                prefix="",
                hashed=secret.hashed,
                tenants=None if tenants is None else frozenset(map(TenantId, tenants)),
                scopes=scopes,
                namespaces=None if namespaces is None else frozenset(map(Namespace, namespaces)),
                created_at=runtime.clock.now(),
                expires_at=None,
                last_used_at=None,
                is_active=True,
            )
        )


async def state(runtime: Runtime, query: str) -> dict[str, Any]:
    """Objects by tenant and status, and what is staged."""
    objects: Counter[str] = Counter()
    after = None
    while batch := await runtime.metadata.objects.scan(after=after, limit=1000):
        objects.update(f"{each.tenant_id}/{each.status}" for each in batch)
        after = batch[-1].id
    staged = 0
    for store in runtime.blobs.values():
        staged += len(await store.staged(older_than_s=0, limit=1000))
    return {"objects": objects, "staged": staged}


async def lose(runtime: Runtime, content_hash: str) -> dict[str, Any]:
    """Drop a blob of the class hot, past recovery."""
    store = runtime.blobs[StorageClass.HOT]
    placed = await store.scan(after=None, limit=100_000)
    lost = [blob.locator for blob in placed if blob.content_hash == content_hash]
    await store.remove(lost)
    await store.purge(await store.trash(older_than_s=0, limit=100_000))
    return {"lost": len(lost)}


async def damage(runtime: Runtime, content_hash: str) -> dict[str, Any]:
    """Flip the last bit of a blob of the class hot."""
    store = unwrap(runtime.blobs[StorageClass.HOT])
    assert isinstance(store, MemoryBlobStore)
    data = store._placed[content_hash]
    store._placed[content_hash] = data[:-1] + bytes([data[-1] ^ 1])
    return {"damaged": 1}


async def main() -> None:
    """Serve until the standard input ends."""
    address = HeldAddress.take("127.0.0.1", 0)
    config = Config.from_mapping(CONFIG)
    opened: list[Runtime] = []

    @asynccontextmanager
    async def open_all() -> AsyncIterator[Runtime]:
        async with open_runtime(config, plugins=[Brittle()]) as runtime:
            await create_keys(runtime)
            opened.append(runtime)
            yield runtime

    application = create_application(open_all)

    async def with_windows(scope: Any, receive: Any, send: Any) -> None:
        window = {"/-/state": state, "/-/lose": lose, "/-/damage": damage}.get(scope["path"])
        if window is None:
            await application(scope, receive, send)
            return
        body = json.dumps(await window(opened[0], scope["query_string"].decode())).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async with lifespan(application):
        server = Worker(config=config, address=address, connections_max=1024).server(with_windows)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            await anyio.to_thread.run_sync(wait_until_open, address.port)
            print(address.port, flush=True)  # noqa: T201  the parent reads it
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            server.stop()


def wait_until_open(port: int) -> None:
    """Connect until someone accepts."""
    import socket
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("the server does not accept connections")


if __name__ == "__main__":
    set_up_logging(Log(level="info", format="json"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
