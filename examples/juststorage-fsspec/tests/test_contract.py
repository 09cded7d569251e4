"""The plugin through JustStorage's conformance kit, on two of fsspec's filesystems."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest
from juststorage.config import Config, redacted
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.runtime import Runtime, make_host, open_runtime
from juststorage.testing import BlobStoreContract, PluginContract, open_backend

from juststorage_fsspec.plugin import FSSPEC, FSSPEC_MEMORY, FsspecOptions

pytest_plugins = ["juststorage.testing.fixtures"]


@pytest.fixture
def memory_url() -> Iterator[str]:
    """A directory of the one memory filesystem that this process has."""
    url = f"memory://{uuid.uuid4()}"
    yield url
    filesystem, path = fsspec.core.url_to_fs(url)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


class TestLocal(BlobStoreContract):
    backend = FSSPEC

    @pytest.fixture
    def options(self, tmp_path: Path) -> FsspecOptions:
        return FsspecOptions(url=f"file://{tmp_path}/store")


class TestMemory(BlobStoreContract):
    backend = FSSPEC_MEMORY

    @pytest.fixture
    def options(self, memory_url: str) -> FsspecOptions:
        return FsspecOptions(url=memory_url)


class TestPlugin(PluginContract):
    plugin = "fsspec"
    heavy = PluginContract.heavy | {"fsspec"}

    @pytest.fixture
    def tables(self, tmp_path: Path, memory_url: str) -> Mapping[str, Mapping[str, Any]]:
        return {
            "blob_store:fsspec": {"url": f"file://{tmp_path}"},
            "blob_store:fsspec_memory": {"url": memory_url},
        }


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    """A service that keeps its bytes in this store."""
    options = {"backend": "fsspec", "fsspec": {"url": f"file://{tmp_path}"}}
    config = {"metadata": {"backend": "memory"}, "blobs": {"hot": options}, "auth": {"chain": []}}
    async with open_runtime(config) as runtime:
        yield runtime


@pytest.mark.anyio
async def test_a_service_can_work_with_it(runtime: Runtime) -> None:
    """Selected by configuration, found by its entry point."""
    await runtime.blobs[StorageClass.HOT].ping()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("backend", "url", "message"),
    [
        (FSSPEC, "memory://x", "use the backend 'fsspec_memory'"),
        (FSSPEC_MEMORY, "file:///tmp/x", "use the backend 'fsspec'"),
        (FSSPEC, "nonsense://x", "cannot be used"),
        (FSSPEC, "file:///dev/null/x", "cannot be used"),
    ],
)
async def test_what_cannot_work_is_refused_when_it_opens(
    backend: Any, url: str, message: str
) -> None:
    """An operator reads one line, before the first upload."""
    with pytest.raises(Misconfigured, match=message):
        async with open_backend(backend, FsspecOptions(url=url)):
            pass


def test_secrets_stay_out_of_sight() -> None:
    """Neither the options' text nor the shown configuration has them."""
    options = FsspecOptions(url="s3://bucket", secrets={"secret": Secret("hunter2")})
    assert "hunter2" not in repr(options)
    table = {"url": "s3://bucket", "secrets": {"secret": "hunter2", "key": {"file": "/x"}}}
    config = Config.from_mapping(
        {
            "metadata": {"backend": "memory"},
            "blobs": {"hot": {"backend": "fsspec", "fsspec": table}},
        }
    )
    assert "hunter2" not in repr(redacted(config, make_host(config)))
