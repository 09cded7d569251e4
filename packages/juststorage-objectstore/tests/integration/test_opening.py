"""Opening: what can never work is refused at once, in a sentence for the operator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.errors import Misconfigured, Unavailable
from juststorage.plugins import Secret
from juststorage.ports import BlobStore
from juststorage.testing import open_backend
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions
from juststorage_objectstore.testing import FaultyProxy, S3Server

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]


async def refusal(options: ObjectStoreOptions, kind: type[Exception] = Misconfigured) -> str:
    """What opening says."""
    with pytest.raises(kind) as caught:
        async with open_backend(OBJECTSTORE, options):
            pass
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


async def test_a_bucket_that_does_not_exist(s3_server: S3Server) -> None:
    """Buckets are made by whoever decides where they are and what they cost."""
    said = await refusal(s3_server.options("no-such-bucket"))
    assert said == "blobs.hot: s3://no-such-bucket: the bucket does not exist; make it first"


async def test_credentials_that_are_refused(objectstore_options: ObjectStoreOptions) -> None:
    """A wrong secret is told apart from a store that is away, and is not shown."""
    wrong = replace(objectstore_options, secret_access_key=Secret("hunter2"))
    assert "access is refused; look at the credentials" in await refusal(wrong)


async def test_a_store_that_does_not_answer(objectstore_options: ObjectStoreOptions) -> None:
    """Nobody listens there: whoever starts the service may try again."""
    away = replace(objectstore_options, endpoint="http://127.0.0.1:9", retries=0)
    assert "look at endpoint, region and network" in await refusal(away, Unavailable)


async def test_a_store_that_may_not_be_written(opened: OpenStore, proxy: FaultyProxy) -> None:
    """Reading alone is not enough, and that shows at start and not at the first upload."""
    proxy.on("PUT", "status", match="/probe", times=99, status=403)
    with pytest.raises(Misconfigured, match="access is refused"):
        async with opened():
            pass


async def test_a_full_store_serves(opened: OpenStore, steps_on: Any, proxy: FaultyProxy) -> None:
    """What is there can be read and removed all the same, and removal is what helps."""
    async with opened() as store:
        locator = await steps_on(store).put(b"there")
    proxy.on("PUT", "status", times=99, status=507)
    async with opened() as store:
        assert await steps_on(store).read(locator) == b"there"
        assert await store.remove([locator]) == {}


async def test_a_certificate_file_that_is_not_there(
    objectstore_options: ObjectStoreOptions, tmp_path: Path
) -> None:
    """The file and what is wrong with it are named."""
    without = replace(objectstore_options, ca_file=str(tmp_path / "none.pem"))
    said = await refusal(without)
    assert (
        said == f"blobs.hot: ca_file {tmp_path}/none.pem cannot be read: No such file or directory"
    )


async def test_credentials_of_the_environment(
    objectstore_options: ObjectStoreOptions, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables as the provider's own tools know them do too, for the sweeper as well."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    bare = replace(objectstore_options, access_key_id=None, secret_access_key=None)
    async with open_backend(OBJECTSTORE, bare) as store:
        await store.ping()
        assert await store.staged(older_than_s=0, limit=9) == []
