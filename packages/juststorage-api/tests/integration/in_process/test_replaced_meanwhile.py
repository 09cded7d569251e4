"""A key that is replaced while somebody reads it, and whose former bytes are collected at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from juststorage.plugins import BlobCapabilities, BlobStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.ports import BlobReader, BlobStore
from juststorage_api.testing import open_in_process

PATH = "/v1/objects/by-key/n/t/k"


class Meanwhile:
    """A plugin: something happens each time before bytes are opened."""

    def __init__(self) -> None:
        self.before_open: Callable[[], Awaitable[None]] | None = None

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[NoOptions]]:
        """Memory, and what happens meanwhile."""
        plugin = self

        class Store(MemoryBlobStore):
            async def open(self, locator: str) -> BlobReader:
                if plugin.before_open is not None:
                    await plugin.before_open()
                return await super().open(locator)

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
            yield Store(context.clock)

        yield BlobStoreBackend(
            name="meanwhile",
            summary="Lets something happen",
            options=NoOptions,
            open=opened,
            capabilities=BlobCapabilities(trash=True, fixed_names=True, stable_readers=True),
        )


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("times", [1, 3, 100])
async def test_a_key_is_never_neither_the_old_nor_the_new(method: str, times: int) -> None:
    """The new one is read; only who is overtaken again and again is told to come back."""
    plugin, left, number = Meanwhile(), times, 0
    config = {"blobs": {"hot": {"backend": "meanwhile"}}}
    async with open_in_process(config, plugins=[plugin]) as service, service.client() as client:

        async def replace() -> None:
            nonlocal left, number
            if left == 0:
                return
            left -= 1
            number += 1
            assert (await client.put(PATH, content=b"%d" % number)).status_code == 200
            collected = await client.post("/v1/admin/gc", json={"grace_seconds": 0})
            assert collected.json()["removed"] == 1

        await client.put(PATH, content=b"0")
        plugin.before_open = replace
        answer = await client.request(method, PATH)
        assert answer.status_code == (503 if times == 100 else 200)
        if times != 100 and method == "GET":
            assert answer.content == b"%d" % times


@pytest.mark.anyio
async def test_a_key_that_is_deleted_meanwhile_is_not_there() -> None:
    """404, as there is no other one."""
    plugin = Meanwhile()
    config = {"blobs": {"hot": {"backend": "meanwhile"}}}
    async with open_in_process(config, plugins=[plugin]) as service, service.client() as client:

        async def delete() -> None:
            await client.delete(PATH)
            await client.post("/v1/admin/gc", json={"grace_seconds": 0})

        await client.put(PATH, content=b"0")
        plugin.before_open = delete
        assert (await client.get(PATH)).status_code == 404
