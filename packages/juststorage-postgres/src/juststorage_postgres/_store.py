"""The metadata store: its repositories over one pool."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from juststorage.errors import Unavailable
from juststorage.plugins import OpenContext
from juststorage.ports import MetadataStore, ReadOnlySwitch
from juststorage_postgres._api_keys import PostgresApiKeyRepository
from juststorage_postgres._audit import PostgresAuditRepository
from juststorage_postgres._backups import PostgresBackupRepository
from juststorage_postgres._blobs import PostgresBlobRepository
from juststorage_postgres._checks import current_revision
from juststorage_postgres._connect import opened_pool
from juststorage_postgres._fast import FastLane
from juststorage_postgres._idempotency import PostgresIdempotencyRepository
from juststorage_postgres._migrations import REVISIONS
from juststorage_postgres._objects import PostgresObjectRepository
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._pool import Connection, Pool, TracedPool
from juststorage_postgres._tallies import PostgresTallyRepository
from juststorage_postgres._usage import PostgresUsageRepository

__all__ = ["PostgresMetadataStore", "opened_store"]

_MAKE: Final = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_FIND: Final = "SELECT value FROM secrets WHERE name = $1"

# Told to whoever asks for readiness, who need not learn of our paths.
_REMEDY: Final = "run `juststorage migrate up` with the configuration of the service"

_READ_ONLY: Final = "SELECT is_on AS on, turns FROM switches WHERE name = 'read_only'"
_TURN_READ_ONLY: Final = """
INSERT INTO switches AS s (name, is_on, turns) VALUES ('read_only', $1, 1)
ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on, turns = s.turns + 1
RETURNING is_on AS on, turns"""


class PostgresMetadataStore(MetadataStore):
    """See `MetadataStore`. Its repositories share the pool and the gatherers."""

    def __init__(self, pool: Pool, lane: FastLane, options: PostgresOptions) -> None:
        self._pool = pool
        self.objects = PostgresObjectRepository(pool, lane)
        self.blobs = PostgresBlobRepository(pool)
        self.api_keys = PostgresApiKeyRepository(pool, lane)
        self.idempotency = PostgresIdempotencyRepository(pool)
        self.usage = PostgresUsageRepository(pool)
        self.tallies = PostgresTallyRepository(pool)
        self.audit = PostgresAuditRepository(pool)
        self.backups = PostgresBackupRepository(pool, options)

    async def ping(self) -> None:
        async with self._pool.connection() as connection:
            revision = await current_revision(connection)
        # A newer schema serves this release as well, during a rolling upgrade.
        if revision is None:
            raise Unavailable(f"the database has no schema: {_REMEDY}")
        if revision < REVISIONS[-1]:
            raise Unavailable(
                f"the database has schema {revision}, and {REVISIONS[-1]} is needed: {_REMEDY}"
            )

    async def answers(self) -> None:
        async with self._pool.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def now(self) -> datetime:
        async with self._pool.connection() as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now

    async def read_only(self) -> ReadOnlySwitch:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_READ_ONLY)
        return ReadOnlySwitch() if row is None else ReadOnlySwitch(**row)

    async def turn_read_only(self, *, on: bool) -> ReadOnlySwitch:
        async def run(connection: Connection) -> ReadOnlySwitch:
            return ReadOnlySwitch(**await connection.fetchrow(_TURN_READ_ONLY, on))

        return await self._pool.attempt(run, single=True)

    async def secret(self, name: str) -> bytes:
        async def run(connection: Connection) -> bytes:
            found: bytes | None = await connection.fetchval(_FIND, name)
            if found is None:
                # Of several processes that start at once, the first one's stays.
                await connection.execute(_MAKE, name, secrets.token_bytes(32))
                found = await connection.fetchval(_FIND, name)
            assert found is not None
            return found

        return await self._pool.attempt(run)


@asynccontextmanager
async def opened_store(
    options: PostgresOptions, context: OpenContext
) -> AsyncIterator[PostgresMetadataStore]:
    """The store, open. See `opened_pool` for what it refuses."""
    async with opened_pool(options, context) as pool:
        lane = FastLane(pool, options, context.tracer)
        async with lane.opened():
            context.gauge("waiting", lambda: lane.depth)
            # The lane has spans of its own, of statements that many share.
            rest = pool if context.tracer is None else TracedPool(pool, context.tracer)
            yield PostgresMetadataStore(rest, lane, options)
