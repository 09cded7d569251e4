"""The backup repository: holds, snapshots, and states on their way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from juststorage.errors import InvalidState
from juststorage.ports import BackupRepository, Hold, Record, Snapshot
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._records import put_back
from juststorage_postgres._snapshot import open_snapshot

__all__ = ["PostgresBackupRepository"]

_HOLD: Final = """
INSERT INTO holds (name, since, expires_at)
SELECT $1, now - make_interval(secs => $3), now + make_interval(secs => $2)
FROM clock_timestamp() AS now
ON CONFLICT (name) DO UPDATE SET since = excluded.since, expires_at = excluded.expires_at
RETURNING name, since, expires_at"""

_RENEW: Final = """
UPDATE holds SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE name = $1 AND expires_at > clock_timestamp() RETURNING 1"""

_RUNNING: Final = """
SELECT name, since, expires_at FROM holds
WHERE expires_at IS NULL OR expires_at > clock_timestamp() ORDER BY name"""

_END: Final = "DELETE FROM holds WHERE name = $1"

# Of two restores that begin at once, one waits here for the other.
_ALONE: Final = "LOCK TABLE holds IN SHARE ROW EXCLUSIVE MODE"
_ENDLESS: Final = "SELECT name FROM holds WHERE expires_at IS NULL"
_BEGIN: Final = "INSERT INTO holds (name, since) VALUES ($1, clock_timestamp())"

# The driver's way to add many events leaves the sequence where it was.
_GO_ON: Final = """
SELECT setval(pg_get_serial_sequence('audit_events', 'id'), max(id)) FROM audit_events
HAVING max(id) IS NOT NULL"""


class PostgresBackupRepository(BackupRepository):
    """See `BackupRepository`."""

    def __init__(self, pool: Pool, options: PostgresOptions) -> None:
        self._pool = pool
        self._options = options

    async def hold(self, name: str, *, hold_s: float, back_s: float) -> Hold:
        async def run(connection: Connection) -> Hold:
            return Hold(**await connection.fetchrow(_HOLD, name, float(hold_s), float(back_s)))

        return await self._pool.attempt(run, single=True)

    async def renew(self, name: str, *, hold_s: float) -> bool:
        async def run(connection: Connection) -> bool:
            return await connection.fetchval(_RENEW, name, float(hold_s)) is not None

        return await self._pool.attempt(run, single=True)

    async def release(self, name: str) -> None:
        async def run(connection: Connection) -> None:
            await connection.execute(_END, name)

        await self._pool.attempt(run, single=True)

    async def holds(self) -> list[Hold]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_RUNNING)
        return [Hold(**row) for row in rows]

    async def snapshot(self) -> Snapshot:
        return await open_snapshot(self._options)

    async def begin_restore(self, name: str) -> bool:
        async def run(connection: Connection) -> bool:
            await connection.execute(_ALONE)
            begun = {row["name"] for row in await connection.fetch(_ENDLESS)}
            if name in begun:
                return True
            if begun:
                raise InvalidState(f"another restore has begun and not ended: {min(begun)}")
            if await connection.fetchval("SELECT EXISTS (SELECT FROM objects)"):
                raise InvalidState(
                    "there are objects here already: a restore has ended here, or none was begun"
                )
            await connection.execute(_BEGIN, name)
            return False

        return await self._pool.attempt(run)

    async def restore(self, records: Sequence[Record]) -> None:
        async def run(connection: Connection) -> None:
            await put_back(connection, records)

        await self._pool.attempt(run)

    async def end_restore(self, name: str) -> None:
        async def run(connection: Connection) -> None:
            await connection.execute(_GO_ON)
            await connection.execute(_END, name)

        await self._pool.attempt(run)
