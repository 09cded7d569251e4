"""PostgreSQL for the service that is measured: a server of its own, durable, its time counted."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
    run_sql,
)

__all__ = ["SMALL_BYTES", "Database", "running_database", "server_cpu_s"]

_TICKS = os.sysconf("SC_CLK_TCK")

SMALL_BYTES: Final = 4096
"""The size of every object that is made here, and of those that small requests are about."""

_BLOBS = """
INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, stored_at,
    first_seen_at)
SELECT 'sha256:' || md5(n) || md5(n), 'hot', 4096, 0,
    concat_ws('/', left(md5(n), 2), substr(md5(n), 3, 2), md5(n) || md5(n)), now(),
    now()
FROM (SELECT '{mark}' || n AS n FROM generate_series(1, {count}) AS n) AS numbered
"""

_SETTINGS: Final = {"shared_buffers": "1GB"}
"""As one would run it for a million objects: the 64 MB of tests do not hold their indexes."""

_MADE_UP = "substr(content_hash, 8, 32) = substr(content_hash, 40, 32)"
"""Which contents are of statements, not of uploads."""

_GARBAGE = f"{_MADE_UP} AND ref_count = 0"

_OBJECTS = """
WITH held AS (
    SELECT content_hash, size_bytes, row_number() OVER () - 1 AS place FROM blobs WHERE {which}
), numbered AS (
    SELECT n, n % (SELECT count(*) FROM held) AS place FROM generate_series(1, {count}) AS n
)
INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash,
    size_bytes, content_type, metadata, created_at, updated_at, blob_hash, claims_key, lease_epoch)
SELECT gen_random_uuid(), 'bench', 'bench', 'k/{mark}/' || lpad(n::text, 8, '0'), 'COMMITTED',
    'hot', content_hash, size_bytes, 'application/octet-stream', '{{}}',
    now() - n * interval '1 ms', now(), content_hash, false, 1
FROM numbered JOIN held USING (place)
"""

_HASHED = "SET enable_nestloop = off"
"""The planner takes what is made up for one row, and would read all rows again for each."""

_SETTLED = ("VACUUM ANALYZE", "CHECKPOINT")
"""What is measured next does not pay for it."""

_COUNT = """
UPDATE blobs SET ref_count = held FROM (
    SELECT blob_hash, count(*) AS held FROM objects WHERE blob_hash IS NOT NULL GROUP BY blob_hash
) AS counted WHERE content_hash = blob_hash AND ref_count <> held
"""


class Database:
    """A database with the newest schema on a running server.

    Args:
        server: The server, which nobody else uses.
        url: The database.
    """

    def __init__(self, server: LocalServer, url: str) -> None:
        self.server = server
        self.url = url

    def environment(self) -> dict[str, str]:
        """Variables that make `juststorage serve` use it, with a hot store beside its data."""
        return {
            "JUSTSTORAGE__METADATA__BACKEND": "postgres",
            "JUSTSTORAGE__METADATA__POSTGRES__URL": self.url,
            "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
            "JUSTSTORAGE__AUTH__CHAIN": '["api_key"]',
            "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": f"jsk_{secrets.token_hex(8)}_"
            + secrets.token_urlsafe(32),
        }

    def cpu_s(self) -> float:
        """Processor seconds of the server so far."""
        return server_cpu_s(self.server)

    def add(self, count: int, *, sharing: bool) -> None:
        """Add committed objects, of namespace and tenant `bench`, as statements can: quickly.

        Args:
            count: How many.
            sharing: Of small contents that are stored already, which can be downloaded; else each
                of a content of its own, whose bytes are nowhere.
        """
        statements = [] if sharing else [_BLOBS.format(mark=secrets.token_hex(4), count=count)]
        small = f"NOT {_MADE_UP} AND size_bytes = {SMALL_BYTES}"
        which = small if sharing else _GARBAGE
        objects = _OBJECTS.format(mark=secrets.token_hex(4), count=count, which=which)
        run_sql(self.url, _HASHED, *statements, objects, _COUNT, *_SETTLED)

    def add_garbage(self, root: Path, count: int) -> None:
        """Add blobs that nothing refers to, as files of 4 KiB below the root of the hot store."""
        mark = secrets.token_hex(4)
        # Each at a time of its own, as deletions one by one leave them: the collector sorts those
        # of one instant anew for every batch, and deletions of many have 1,000 at most.
        zero = f"UPDATE blobs SET zero_since = clock_timestamp() WHERE {_GARBAGE}"
        run_sql(self.url, _BLOBS.format(mark=mark, count=count), zero, "VACUUM ANALYZE blobs")
        for locator in self._ask(f"SELECT locator FROM blobs WHERE {_GARBAGE}"):
            path = root / locator
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(4096))
        # As blobs are that were stored long ago: the first sync of a collector would pay for it.
        os.sync()

    def write_ids(self, path: Path, count: int, *, stored: bool) -> None:
        """Write ids of some objects of `SMALL_BYTES` to a file, one a line, in no order.

        Args:
            path: The file.
            count: How many at most.
            stored: Those that can be downloaded, or those that cannot.
        """
        made_up = _MADE_UP if not stored else f"NOT {_MADE_UP}"
        ids = self._ask(
            f"SELECT id::text FROM objects WHERE status = 'COMMITTED' AND {made_up}"
            f" AND size_bytes = {SMALL_BYTES} ORDER BY random() LIMIT {count}"
        )
        path.write_text("\n".join(ids) + "\n")

    def keys(self, count: int) -> list[str]:
        """Keys of some objects, in no order."""
        return self._ask(
            "SELECT key FROM objects WHERE status = 'COMMITTED' AND key IS NOT NULL"
            f" ORDER BY random() LIMIT {count}"
        )

    def facts(self) -> str:
        """The server's version, and what makes it durable and fast."""
        names = ("fsync", "synchronous_commit", "shared_buffers")
        settings = ", ".join(f"{name} {self._ask(f'SHOW {name}')[0]}" for name in names)
        return f"{self._ask('SHOW server_version')[0]}; {settings}"

    def garbage(self) -> int:
        """How many blobs of `add_garbage` are left."""
        return int(self._ask(f"SELECT count(*)::text FROM blobs WHERE {_GARBAGE}")[0])

    def objects(self) -> int:
        """How many there are now."""
        return int(self._ask("SELECT count(*)::text FROM objects")[0])

    def _ask(self, statement: str) -> list[str]:
        async def ask() -> list[str]:
            connection = await asyncpg.connect(self.url)
            try:
                return [row[0] for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(ask())


def server_cpu_s(server: LocalServer) -> float:
    """Processor seconds of all processes of a server, those that have ended included."""
    ticks = 0
    postmaster = (server.root / "data/postmaster.pid").read_text().split()[0]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if postmaster in (fields[1], stat.parent.name):
                ticks += int(fields[11]) + int(fields[12])
            if stat.parent.name == postmaster:
                ticks += int(fields[13]) + int(fields[14])
    return ticks / _TICKS


@contextmanager
def _roomy_server() -> Iterator[LocalServer]:
    with own_server() as server:
        server.stop()
        server.start(**_SETTINGS)
        yield server


@contextmanager
def running_database(command: Path | None = None) -> Iterator[Database]:
    """A database on a new server, with fsync on, gone afterwards.

    Args:
        command: `juststorage` of the checkout whose schema it has; None for this one.
    """
    with (
        _roomy_server() as server,
        made_database(PostgresServer(server.url(), "own", server)) as url,
    ):
        database = Database(server, url)
        if command is None:
            migrate(url)
        else:
            environment = {**os.environ, **database.environment()}
            subprocess.run(
                [command, "migrate", "up"], env=environment, check=True, capture_output=True
            )
        yield database
