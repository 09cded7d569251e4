"""`objectstore` against the contract of blob stores, on a real server of Azure's protocol."""

from __future__ import annotations

import pytest

from juststorage.domain import ObjectId
from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.testing import BlobStoreContract, make_content, open_backend
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions
from juststorage_objectstore.testing import AzureServer

pytest_plugins = ["juststorage.testing.fixtures"]


class TestAzure(BlobStoreContract):
    """Below a prefix of a container."""

    backend = OBJECTSTORE
    machine_examples = 2

    @pytest.fixture
    def options(self, azure_server: AzureServer) -> ObjectStoreOptions:
        """An empty container."""
        return azure_server.options(azure_server.make_container(), "some/prefix")


@pytest.mark.anyio
async def test_a_large_blob_goes_in_parts(azure_server: AzureServer) -> None:
    """Blocks are put together in their order, and nothing is visible before they are."""
    data = bytes(range(256)) * (11 * 2**20 // 256) + b"and a bit"
    options = azure_server.options(azure_server.make_container(), part_bytes=5 * 2**20)
    async with (
        open_backend(OBJECTSTORE, options) as store,
        await store.stage(ObjectId.new()) as staged,
    ):
        for start in range(0, len(data), 2**20):
            await staged.write(data[start : start + 2**20])
        await staged.finish()
        assert await store.scan(after=None, limit=10) == []
        locator = await store.place(staged, make_content(data).content_hash)
        async with await store.open(locator) as reader:
            read = b"".join([piece async for piece in reader.chunks(0, reader.size_bytes)])
    assert read == data


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("container", "key", "told"),
    [
        (None, None, "the bucket does not exist; make it first"),
        ("made", Secret("bm90IHRoaXM="), "access is refused; look at the credentials"),
    ],
)
async def test_what_cannot_work_is_told_when_it_opens(
    azure_server: AzureServer, container: str | None, key: Secret | None, told: str
) -> None:
    """A container that is not there and a key that is not right, each in one sentence."""
    name = azure_server.make_container() if container else "not-there"
    more = {} if key is None else {"account_key": key}
    with pytest.raises(Misconfigured, match=told):
        async with open_backend(OBJECTSTORE, azure_server.options(name, **more)):
            pass
