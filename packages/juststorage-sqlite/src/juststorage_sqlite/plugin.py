"""The plugin `sqlite`: metadata in one file beside the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from msgspec import Meta

from juststorage.plugins import MetadataStoreBackend, Migrator, OpenContext, hookimpl
from juststorage.ports import MetadataStore

__all__ = ["SQLITE", "SqliteOptions"]


class SqliteOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the metadata store `sqlite`."""

    path: Annotated[
        str | None,
        Meta(
            description="The database file, on a local disk. Without it: `metadata.sqlite3` in the"
            " data directory."
        ),
    ] = None
    auto_migrate: Annotated[
        bool,
        Meta(
            description="Create the database, and bring an older one up to date, when the service"
            " starts. When off, `juststorage migrate up` does it."
        ),
    ] = True
    busy_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=300,
            description="Seconds to wait for a transaction of another process on the same file.",
        ),
    ] = 5.0
    batch_max: Annotated[
        int,
        Meta(ge=1, le=1000, description="Requests that share one transaction, at most."),
    ] = 64
    reader_threads: Annotated[
        int,
        Meta(ge=1, le=16, description="Threads for listings and other longer reads."),
    ] = 2
    cache_bytes: Annotated[
        int,
        Meta(
            ge=1024 * 1024,
            le=2**32,
            description="Page cache of each connection; there is one for each thread.",
        ),
    ] = 16 * 1024 * 1024
    checkpoint_pages: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description="Pages of 4 KiB in the log before it is copied into the database.",
        ),
    ] = 4000
    ballast_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**32,
            description="Room that is kept in a file beside the database, for deleting and"
            " collecting where the disk is full to the last block. 0 for none.",
        ),
    ] = 16 * 1024 * 1024


@asynccontextmanager
async def _open(options: SqliteOptions, context: OpenContext) -> AsyncIterator[MetadataStore]:
    from juststorage_sqlite._store import open_store

    async with open_store(options, context) as store:
        yield store


def _migrator(options: SqliteOptions, context: OpenContext) -> Migrator:
    from juststorage_sqlite._migrator import SqliteMigrator
    from juststorage_sqlite._store import connecting

    return SqliteMigrator(connecting(options, context))


SQLITE = MetadataStoreBackend(
    name="sqlite",
    summary="Metadata in one SQLite file: no server, one machine",
    options=SqliteOptions,
    open=_open,
    migrator=_migrator,
)


@hookimpl
def juststorage_metadata_stores() -> Iterable[MetadataStoreBackend[SqliteOptions]]:
    """Offer the metadata store."""
    yield SQLITE
