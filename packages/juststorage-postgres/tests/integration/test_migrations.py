"""The migrations lead to the tables, there and back, one at a time."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator

import anyio.to_thread
import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from juststorage.errors import Misconfigured, Unavailable
from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage_postgres._migrations import REVISIONS, VERSION_TABLE
from juststorage_postgres._migrator import LOCK, PostgresMigrator, configured
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._schema import metadata
from juststorage_postgres.testing import PostgresServer, made_database, run_sql

CATALOG = """
SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || ' ' || a.attnotnull || ' ' || coalesce(l.collname, '-')
    || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '-')
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> $1
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> $1
UNION ALL
SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    AND conrelid <> to_regclass($1) IS NOT FALSE
UNION ALL
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
ORDER BY 1"""


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def migrator(empty_postgres_url: str) -> PostgresMigrator:
    """The migrator of an empty database."""
    return PostgresMigrator(PostgresOptions(url=Secret(empty_postgres_url)))


@pytest.fixture
def other_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of another empty database."""
    with made_database(postgres_server) as url:
        yield url


async def on_engine(url: str, run: object) -> object:
    """Run a function on a SQLAlchemy connection."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(run)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


async def catalog(url: str) -> list[str]:
    """Columns, indexes and constraints, as the server tells them."""
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(CATALOG, VERSION_TABLE)]
    finally:
        await connection.close()


async def test_the_migrated_schema_is_the_tables(
    migrator: PostgresMigrator, empty_postgres_url: str, other_url: str
) -> None:
    """Alembic finds no difference, and the server's catalogs have none that alembic cannot see."""
    migrator.up()

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda _1, name, _2, _3, _4: name != VERSION_TABLE,
            },
        )
        return compare_metadata(context, metadata)

    assert await on_engine(empty_postgres_url, differences) == []
    await on_engine(other_url, metadata.create_all)
    assert await catalog(empty_postgres_url) == await catalog(other_url)


def test_up_and_down(migrator: PostgresMigrator) -> None:
    """Each revision goes up and down again, and the status tells where the schema stands."""
    assert migrator.status().pending == list(REVISIONS)
    assert migrator.status().current is None
    migrator.up()
    assert (migrator.status().current, migrator.status().pending) == (REVISIONS[-1], [])
    migrator.up()
    migrator.down("base")
    assert migrator.status().current is None
    migrator.up()
    assert migrator.status().current == migrator.status().head


def test_an_unknown_revision(migrator: PostgresMigrator) -> None:
    """Going down to nowhere is refused before anything changes."""
    with pytest.raises(Misconfigured, match="no revision 4711"):
        migrator.down("4711")


async def test_the_statements_by_hand(
    migrator: PostgresMigrator, empty_postgres_url: str, other_url: str
) -> None:
    """What `sql` prints does what `up` does, and there is nothing to print afterwards."""
    connection = await asyncpg.connect(empty_postgres_url)
    await connection.execute(migrator.sql())
    await connection.close()
    assert migrator.sql() == ""
    PostgresMigrator(PostgresOptions(url=Secret(other_url))).up()
    assert await catalog(empty_postgres_url) == await catalog(other_url)


async def test_several_at_once(migrator: PostgresMigrator, empty_postgres_url: str) -> None:
    """Instances that are deployed together migrate one after the other."""
    program = (
        "import sys\n"
        "from juststorage.plugins import Secret\n"
        "from juststorage_postgres._migrator import PostgresMigrator\n"
        "from juststorage_postgres._options import PostgresOptions\n"
        "PostgresMigrator(PostgresOptions(url=Secret(sys.argv[1]))).up()\n"
    )
    connection = await asyncpg.connect(empty_postgres_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(anyio.run_process, [sys.executable, "-c", program, empty_postgres_url])
        while await connection.fetchval(WAITING) < 2:
            pass
        assert migrator.status().current is None
        await transaction.rollback()
    await connection.close()
    assert migrator.status().pending == []


def test_the_revisions_are_alembics() -> None:
    """What is read from file names is what alembic finds in the files: one line, no branches."""
    scripts = ScriptDirectory.from_config(configured())
    assert [each.revision for each in scripts.walk_revisions()] == list(reversed(REVISIONS))
    assert scripts.get_heads() == [REVISIONS[-1]]


def test_a_user_who_may_not(migrator: PostgresMigrator, empty_postgres_url: str) -> None:
    """A migration without the right to change the schema is refused with a sentence."""
    role = f"onlooker_{secrets.token_hex(4)}"
    run_sql(
        empty_postgres_url,
        f"CREATE ROLE {role} LOGIN",
        "REVOKE CREATE ON SCHEMA public FROM public",
    )
    try:
        url = empty_postgres_url.replace("postgres@", f"{role}@")
        with pytest.raises(Misconfigured, match="may not change the schema"):
            PostgresMigrator(PostgresOptions(url=Secret(url))).up()
    finally:
        run_sql(empty_postgres_url, f"DROP ROLE {role}")
    assert migrator.status().current is None


async def test_a_table_in_use(migrator: PostgresMigrator, empty_postgres_url: str) -> None:
    """A migration does not queue for a table, where all requests would queue behind it."""
    migrator.up()
    connection = await asyncpg.connect(empty_postgres_url)
    async with connection.transaction():
        await connection.execute("SELECT FROM objects")
        with pytest.raises(Unavailable, match="in use"):
            await anyio.to_thread.run_sync(migrator.down, "base")
    await connection.close()
    assert migrator.status().pending == []


async def test_a_schema_that_is_taken_away_under_a_service(
    store: MetadataStore, postgres_options: PostgresOptions
) -> None:
    """After `migrate down base` the service is not ready, and says what to run."""
    migrator = PostgresMigrator(postgres_options)
    await store.ping()
    await anyio.to_thread.run_sync(migrator.down, "base")
    with pytest.raises(Unavailable, match="no schema: run `juststorage migrate up`"):
        await store.ping()
    await store.answers()
    await anyio.to_thread.run_sync(migrator.up)
    await store.ping()


async def test_a_newer_schema_serves_and_an_older_one_does_not(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """During a rolling upgrade the old release stays ready on the new schema."""
    say = f"UPDATE {VERSION_TABLE} SET version_num = $1"
    try:
        await raw.execute(say, "9999")
        await store.ping()
        await raw.execute(say, "0000")
        with pytest.raises(Unavailable, match=r"schema 0000, and \d{4} is needed"):
            await store.ping()
    finally:
        await raw.execute(say, REVISIONS[-1])  # the database is the next test's as well


async def test_objects_of_the_first_revision_are_counted(
    migrator: PostgresMigrator, empty_postgres_url: str
) -> None:
    """What was stored before usage was counted is in the count, and so is what the old code adds.

    The statements here are those of the release before: they know nothing of the new tables.
    """
    migrator.up()
    await anyio.to_thread.run_sync(migrator.down, "0001")
    add = (
        "INSERT INTO objects (id, namespace, tenant_id, status, storage_class, content_hash,"
        " blob_hash, size_bytes, content_type, metadata, created_at, updated_at, claims_key,"
        " lease_epoch) VALUES (gen_random_uuid(), 'n', 't', $1, 'hot', 'h',"
        " CASE $1 WHEN 'COMMITTED' THEN 'h' END, 7, 'x/y', '{}', now(), now(), false, 1)"
    )
    connection = await asyncpg.connect(empty_postgres_url)
    await connection.execute(
        "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, first_seen_at)"
        " VALUES ('h', 'hot', 7, 3, now())"
    )
    for status in ("COMMITTED", "COMMITTED", "DELETED"):
        await connection.execute(add, status)
    await anyio.to_thread.run_sync(migrator.up)
    await connection.execute(add, "COMMITTED")
    await connection.execute("UPDATE objects SET key = 'k' WHERE status = 'DELETED'")
    await connection.execute(
        "UPDATE objects SET status = 'DELETING', blob_hash = NULL WHERE id IN"
        " (SELECT id FROM objects WHERE status = 'COMMITTED' LIMIT 2)"
    )
    counted = await connection.fetchrow(
        "SELECT sum(objects), sum(bytes) FROM (TABLE usage UNION ALL TABLE usage_deltas) AS u"
        " WHERE (tenant_id, namespace, storage_class) = ('t', 'n', 'hot')"
    )
    await connection.close()
    assert tuple(counted) == (1, 7)
