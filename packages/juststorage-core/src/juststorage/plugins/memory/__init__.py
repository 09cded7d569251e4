"""The plugin `memory`: stores that forget everything when they close.

For tests, and for trying things out. They keep the whole contract, rollback and isolation included,
so a test that passes on them says something; they pass the same conformance kit as every other
store. What they do not do is survive: `durable` is False, and `serve` refuses them unless told that
this is meant. One process, one event loop; a store that is opened twice is two stores.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from juststorage.plugins._context import OpenContext
from juststorage.plugins._descriptors import (
    BlobCapabilities,
    BlobStoreBackend,
    MetadataStoreBackend,
    NoOptions,
)
from juststorage.plugins._markers import hookimpl
from juststorage.ports import BlobStore, MetadataStore

__all__ = ["MEMORY_BLOBS", "MEMORY_METADATA"]


@asynccontextmanager
async def _open_metadata(options: NoOptions, context: OpenContext) -> AsyncIterator[MetadataStore]:
    from juststorage.plugins.memory._metadata_store import MemoryMetadataStore

    yield MemoryMetadataStore(context.clock, audit=context.audit)


@asynccontextmanager
async def _open_blobs(options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    from juststorage.plugins.memory._blob_store import MemoryBlobStore

    yield MemoryBlobStore(context.clock)


MEMORY_METADATA = MetadataStoreBackend(
    name="memory",
    summary="Metadata in this process's memory; gone when it ends",
    options=NoOptions,
    open=_open_metadata,
    durable=False,
)

MEMORY_BLOBS = BlobStoreBackend(
    name="memory",
    summary="Bytes in this process's memory; gone when it ends",
    options=NoOptions,
    open=_open_blobs,
    capabilities=BlobCapabilities(
        read_now=True, trash=True, fixed_names=True, stable_readers=True, resumable=True
    ),
    durable=False,
)


@hookimpl
def juststorage_metadata_stores() -> Iterable[MetadataStoreBackend[NoOptions]]:
    """Offer the metadata store."""
    yield MEMORY_METADATA


@hookimpl
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[NoOptions]]:
    """Offer the blob store."""
    yield MEMORY_BLOBS
