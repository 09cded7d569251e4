"""Services to measure without a server: metadata of one kind, blobs on local files, filled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread

from juststorage.domain import (
    ContentHash,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    TenantId,
)
from juststorage.ports import Committed, Content, MetadataStore, UploadIntent
from juststorage.runtime import Runtime, open_runtime
from juststorage_postgres.testing import PostgresServer, made_database, migrate, own_server

__all__ = ["NAMESPACE", "TENANT", "fill", "metadata_sections", "opened"]

TENANT, NAMESPACE = TenantId("acme"), Namespace("models")
_AT_ONCE = 64


@contextmanager
def metadata_sections(kinds: Sequence[str]) -> Iterator[dict[str, dict[str, Any]]]:
    """The section `[metadata]` of each kind; PostgreSQL runs on a server of its own, with fsync."""
    with ExitStack() as stack:
        sections: dict[str, dict[str, Any]] = {}
        for kind in kinds:
            sections[kind] = {"backend": kind}
            if kind == "postgres":
                server = stack.enter_context(own_server())
                served = PostgresServer(server.url(), "its own", server)
                url = stack.enter_context(made_database(served))
                migrate(url)
                sections[kind]["postgres"] = {"url": url}
        yield sections


@asynccontextmanager
async def opened(folder: Path, metadata: dict[str, Any]) -> AsyncIterator[Runtime]:
    """An open service in an empty folder."""
    config = {
        "data_dir": str(folder),
        "metadata": metadata,
        "blobs": {"hot": {"backend": "localfs"}},
        "auth": {"chain": []},
    }
    async with open_runtime(config) as runtime:
        yield runtime


async def fill(runtime: Runtime, root: Path, count: int, size_bytes: int) -> list[ObjectId]:
    """COMMITTED objects of distinct contents, each with a key.

    The rows are made as uploads make them; the files are written without a sync, which is not what
    is measured here.
    """
    store, metadata = runtime.blobs[StorageClass.HOT], runtime.metadata
    made: list[ObjectId] = []
    for begin in range(0, count, 4096):
        contents = await anyio.to_thread.run_sync(
            _write, store, root, range(begin, min(begin + 4096, count)), size_bytes
        )
        left = iter(contents)

        async def client(left: Iterator[tuple[ContentHash, str]] = left) -> None:
            for content_hash, locator in left:
                made.append(await _commit(metadata, content_hash, size_bytes, locator))

        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(client)
    return made


def _write(
    store: Any, root: Path, numbers: range, size_bytes: int
) -> list[tuple[ContentHash, str]]:
    written: list[tuple[ContentHash, str]] = []
    for number in numbers:
        data = number.to_bytes(8, "big") * (size_bytes // 8)
        content_hash = ContentHash(f"sha256:{hashlib.sha256(data).hexdigest()}")
        locator = store.locator_of(content_hash)
        path = root / locator
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(file, data)
        os.close(file)
        written.append((content_hash, locator))
    return written


async def _commit(
    metadata: MetadataStore, content_hash: ContentHash, size_bytes: int, locator: str
) -> ObjectId:
    new = NewObject(
        id=ObjectId.new(),
        namespace=NAMESPACE,
        tenant_id=TENANT,
        key=ObjectKey(f"k/{content_hash[7:23]}"),
    )
    content = Content(content_hash, size_bytes)
    reserved = await metadata.objects.begin_reserved(UploadIntent(new=new), content, lease_s=3600)
    if not isinstance(reserved, Committed):
        await metadata.objects.commit(reserved.lease, locator)
    return new.id
