"""The plugin `fsspec`: what JustStorage imports to list it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from juststorage.plugins import BlobStoreBackend, OpenContext, Secret, hookimpl
from juststorage.ports import BlobStore

__all__ = ["FSSPEC", "FSSPEC_MEMORY", "FsspecOptions"]


class FsspecOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `fsspec` and `fsspec_memory`, one set for each storage class."""

    url: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            description="Where the bytes go, as fsspec writes it: file:///srv/blobs, s3://bucket/x",
        ),
    ]
    storage: Annotated[
        dict[str, str | int | bool],
        msgspec.Meta(description="Arguments of the filesystem that are no secrets"),
    ] = {}
    secrets: Annotated[
        dict[str, Secret],
        msgspec.Meta(description="Arguments of the filesystem that are secrets: keys, passwords"),
    ] = {}


@asynccontextmanager
async def _open(options: FsspecOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    # Heavy imports stay in here: listing plugins must not pay for them.
    from juststorage_fsspec._opening import open_store

    yield await open_store(options, context, durable=True)


@asynccontextmanager
async def _open_memory(options: FsspecOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    from juststorage_fsspec._opening import open_store

    yield await open_store(options, context, durable=False)


FSSPEC = BlobStoreBackend(
    name="fsspec",
    summary="Bytes on any filesystem that fsspec knows",
    options=FsspecOptions,
    open=_open,
)

# A backend says once whether it is durable, and fsspec's filesystems differ: hence two.
FSSPEC_MEMORY = BlobStoreBackend(
    name="fsspec_memory",
    summary="Bytes in fsspec's memory filesystem; gone when the process ends",
    options=FsspecOptions,
    open=_open_memory,
    durable=False,
)


@hookimpl
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[FsspecOptions]]:
    """The blob stores of this plugin."""
    yield FSSPEC
    yield FSSPEC_MEMORY
