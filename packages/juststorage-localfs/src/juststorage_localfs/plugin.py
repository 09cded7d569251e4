"""The plugin `localfs`: what configuration sees of it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from msgspec import Meta

from juststorage.plugins import BlobCapabilities, BlobStoreBackend, OpenContext, hookimpl
from juststorage.ports import BlobStore

__all__ = ["LOCALFS", "LocalFSOptions"]


class LocalFSOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `localfs`, one set for each storage class."""

    root: Annotated[
        str | None,
        Meta(
            description="Directory of this storage class, on a local filesystem. Default: a "
            "directory named after the class in the service's data directory, made when missing."
        ),
    ] = None
    create_root: Annotated[
        bool,
        Meta(
            description="Make `root` when it is missing. Off by default: a missing directory is "
            "usually a volume that was not mounted."
        ),
    ] = False
    threads: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Threads for filesystem calls that may wait, and as many for reading bodies"
            " from the disk.",
        ),
    ] = 8
    reserve_bytes: Annotated[
        int,
        Meta(ge=0, description="Free bytes to keep on the volume; uploads are refused below."),
    ] = 64 * 1024 * 1024
    direct_io: Annotated[
        bool,
        Meta(
            description="Write uploads of more than 1 MiB past the page cache, where the "
            "filesystem can: faster, and readers keep what they have in it."
        ),
    ] = True
    allow_network_filesystem: Annotated[
        bool,
        Meta(
            description="Accept a root on NFS, SMB or the like, whose durability and rename rules "
            "are not those that the store relies on."
        ),
    ] = False


@asynccontextmanager
async def _open(options: LocalFSOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    from juststorage_localfs._opening import open_store

    async with open_store(options, context) as store:
        yield store


LOCALFS = BlobStoreBackend(
    name="localfs",
    summary="Content-addressed files on a local filesystem",
    options=LocalFSOptions,
    open=_open,
    capabilities=BlobCapabilities(
        local_path=True,
        read_now=True,
        trash=True,
        fixed_names=True,
        space=True,
        stable_readers=True,
        identity=True,
        resumable=True,
    ),
)


@hookimpl
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[LocalFSOptions]]:
    """The blob stores of this plugin."""
    yield LOCALFS
