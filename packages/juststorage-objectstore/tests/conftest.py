"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from juststorage.domain import Locator, ObjectId, StorageClass
from juststorage.ports import BlobStore, Clock, StagedBlob
from juststorage.testing import make_content, open_backend
from juststorage.testing.fixtures import anyio_backend, fake_clock  # noqa: F401
from juststorage_objectstore.plugin import OBJECTSTORE
from juststorage_objectstore.testing import *  # noqa: F403
from juststorage_objectstore.testing import FaultyProxy, S3Server, faulty_proxy

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]

MIB = 1024 * 1024


class Steps:
    """What tests do to a store."""

    big = bytes(range(256)) * (12 * MIB // 256) + b"and a bit"
    """Three parts of the smallest size."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    async def put(self, data: bytes) -> Locator:
        """Store a small body."""
        return await self.store.put(ObjectId.new(), make_content(data).content_hash, data)

    async def stage(self, data: bytes) -> StagedBlob:
        """Write bytes and finish them, in pieces as core does."""
        staged = await self.store.stage(ObjectId.new())
        for start in range(0, len(data), 2 * MIB):
            await staged.write(data[start : start + 2 * MIB])
        await staged.finish()
        return staged

    async def place(self, data: bytes) -> Locator:
        """Store a body in the four steps."""
        async with await self.stage(data) as staged:
            return await self.store.place(staged, make_content(data).content_hash)

    async def read(self, locator: Locator, start: int = 0, end: int | None = None) -> bytes:
        """Some bytes of a blob, all of them unless told otherwise."""
        async with await self.store.open(locator) as reader:
            stop = reader.size_bytes if end is None else end
            return b"".join([piece async for piece in reader.chunks(start, stop - start)])

    async def locators(self) -> list[Locator]:
        """What a walk finds."""
        return [blob.locator for blob in await self.store.scan(after=None, limit=1000)]


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """A line to the server that fails when told."""
    with faulty_proxy(s3_server.endpoint) as made:
        yield made


@pytest.fixture
def opened(s3_server: S3Server, s3_bucket: str, proxy: FaultyProxy) -> OpenStore:
    """`opened(clock=..., storage_class=..., **options)`: the store, over the line that fails."""

    @asynccontextmanager
    async def open_it(
        *,
        clock: Clock | None = None,
        storage_class: StorageClass = StorageClass.HOT,
        **options: Any,
    ) -> AsyncIterator[BlobStore]:
        quick: dict[str, Any] = {"part_bytes": 5 * MIB, "timeout_s": 2.0, "deadline_s": 10.0}
        made = s3_server.options(
            s3_bucket, "pre/fix", endpoint=proxy.endpoint, **{**quick, **options}
        )
        async with open_backend(
            OBJECTSTORE, made, clock=clock, storage_class=storage_class
        ) as store:
            proxy.seen.clear()
            yield store

    return open_it


@pytest.fixture
async def store(opened: OpenStore) -> AsyncIterator[BlobStore]:
    """An empty store over the line that fails, with two further attempts."""
    async with opened() as made:
        yield made


@pytest.fixture
def steps(store: BlobStore) -> Steps:
    """Steps on `store`."""
    return Steps(store)


@pytest.fixture
def steps_on() -> Callable[[BlobStore], Steps]:
    """Steps on another store."""
    return Steps
