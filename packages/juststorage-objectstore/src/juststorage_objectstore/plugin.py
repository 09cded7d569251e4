"""The plugin `objectstore`: what configuration sees of it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from juststorage.plugins import BlobCapabilities, BlobStoreBackend, OpenContext, hookimpl
from juststorage.ports import BlobStore
from juststorage_objectstore._options import ObjectStoreOptions

__all__ = ["OBJECTSTORE", "ObjectStoreOptions"]


@asynccontextmanager
async def _open(options: ObjectStoreOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    from juststorage_objectstore._opening import open_store

    async with open_store(options, context) as store:
        yield store


OBJECTSTORE = BlobStoreBackend(
    name="objectstore",
    summary="Objects in an S3-compatible store, Google Cloud Storage or Azure",
    options=ObjectStoreOptions,
    open=_open,
    capabilities=BlobCapabilities(read_now=True),
)


@hookimpl
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[ObjectStoreOptions]]:
    """The blob stores of this plugin."""
    yield OBJECTSTORE
