"""The plugin `postgres`: metadata in a PostgreSQL database that any number of servers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from juststorage.plugins import MetadataStoreBackend, Migrator, OpenContext, hookimpl
from juststorage.ports import MetadataStore
from juststorage_postgres._options import SCHEMES, PostgresOptions

__all__ = ["POSTGRES"]


@asynccontextmanager
async def _open(options: PostgresOptions, context: OpenContext) -> AsyncIterator[MetadataStore]:
    from juststorage_postgres._store import opened_store

    async with opened_store(options, context) as store:
        yield store


def _problems(options: PostgresOptions) -> Iterator[str]:
    if urlsplit(options.url.reveal()).scheme not in SCHEMES:
        yield "url: the database url must begin with postgresql://"


def _migrator(options: PostgresOptions, context: OpenContext) -> Migrator:
    from juststorage_postgres._migrator import PostgresMigrator

    return PostgresMigrator(options)


POSTGRES = MetadataStoreBackend(
    name="postgres",
    summary="Metadata in PostgreSQL, shared by any number of servers",
    options=PostgresOptions,
    open=_open,
    problems=_problems,
    migrator=_migrator,
)


@hookimpl
def juststorage_metadata_stores() -> Iterable[MetadataStoreBackend[PostgresOptions]]:
    """Offer the metadata store."""
    yield POSTGRES
