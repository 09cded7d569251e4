"""A database with data of any older release becomes one of this release, and loses nothing.

Each revision has a file in `tests/data/revisions`: rows as the release that brought it writes them,
added to those of the files before. A new revision adds its own, so that every table has rows, and
changes no other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread
import asyncpg
import pytest
from alembic import command

from juststorage.domain import Namespace, ObjectId, ObjectKey, Query, StorageClass, TenantId
from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage.testing import audit_metadata, make_content, make_intent, store_object
from juststorage_postgres._migrations import REVISIONS
from juststorage_postgres._migrator import PostgresMigrator
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.testing import run_sql

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]

DATA = Path(__file__).parents[1] / "data" / "revisions"
ACME, MODELS = TenantId("acme"), Namespace("models")
FIRST = ObjectId("01900000-0000-7000-8000-000000000001")

TABLES = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS columns
FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'juststorage_version'
GROUP BY table_name ORDER BY table_name"""

Dump = dict[str, list[str]]
Columns = dict[str, list[str]]


@pytest.fixture
def migrator(empty_postgres_url: str) -> PostgresMigrator:
    """The migrator of an empty database."""
    return PostgresMigrator(PostgresOptions(url=Secret(empty_postgres_url)))


def go_to(migrator: PostgresMigrator, revision: str) -> None:
    """Up to a revision that is not the last."""
    migrator._migrate(lambda config: command.upgrade(config, revision))


def load(url: str, revision: str) -> None:
    """Insert the rows of the revisions up to this one."""
    for each in REVISIONS[: REVISIONS.index(revision) + 1]:
        file = DATA / f"{each}.sql"
        assert file.exists(), (
            f"revision {each} brings no rows: add tests/data/revisions/{file.name}"
        )
        run_sql(url, file.read_text())


async def columns(url: str) -> Columns:
    """The tables and their columns."""
    connection = await asyncpg.connect(url)
    try:
        return {row["table_name"]: row["columns"] for row in await connection.fetch(TABLES)}
    finally:
        await connection.close()


async def dump(url: str, tables: Columns) -> Dump:
    """All rows of these tables, in these columns."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table: [
                row[0]
                for row in await connection.fetch(
                    f"SELECT r::text FROM (SELECT {', '.join(names)} FROM {table}) r ORDER BY 1"
                )
            ]
            for table, names in tables.items()
        }
    finally:
        await connection.close()


async def check_in_use(open_store: OpenStore, url: str) -> None:
    """This release reads what the first one wrote, keeps the invariants and goes on from there."""
    async with open_store(url) as store:
        assert await audit_metadata(store) == []
        found = await store.objects.find(ACME, FIRST)
        assert found is not None
        assert found.metadata.encoded == '{"b": [1, null, 1.50], "a": "ä"}'.encode()
        assert found.locator == "hot/11/11/1"
        assert found == await store.objects.find_by_key(ACME, MODELS, ObjectKey('a/ü "quoted"'))
        cold = await store.objects.find_by_key(TenantId("other"), MODELS, ObjectKey('a/ü "quoted"'))
        assert cold is not None and cold.storage_class is StorageClass.COLD
        listed = (await store.objects.page(Query(tenant_id=ACME))).objects
        assert [each.id for each in listed][:2] == [ObjectId(FIRST[:-1] + "2"), FIRST]
        key = await store.api_keys.find_by_hash(b"\x02")
        assert key is not None and key.tenants == {"acme", "other"}
        assert await store.secret("cursor") == bytes.fromhex("00112233")
        await store_object(store, make_intent("new"), make_content("new"))
        await store.objects.delete(ACME, FIRST)
        assert ObjectId(FIRST[:-1] + "5") in await store.objects.reap(limit=9)
        claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=lambda *_: True)
        keys = [blob.key for blob in claimed]
        removal = await store.blobs.remove(keys, everything)
        assert {str(blob.key.content_hash)[7] for blob in removal.removed} >= {"3", "4"}
        assert await audit_metadata(store) == []


async def everything(blobs: Any) -> Any:
    """A blob store that moves all that it is asked to."""
    return [blob.key for blob in blobs]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_from_a_revision(
    migrator: PostgresMigrator, empty_postgres_url: str, open_store: OpenStore, revision: str
) -> None:
    """Up to this release, every row is kept; then the store works on them."""
    go_to(migrator, revision)
    assert migrator.status().current == revision
    load(empty_postgres_url, revision)
    tables = await columns(empty_postgres_url)
    before = await dump(empty_postgres_url, tables)
    bare = [table for table, rows in before.items() if not rows]
    assert not bare, f"tests/data/revisions/{revision}.sql leaves tables empty: {bare}"
    await anyio.to_thread.run_sync(migrator.up)
    assert await dump(empty_postgres_url, tables) == before
    await check_in_use(open_store, empty_postgres_url)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_back_to_a_revision(
    migrator: PostgresMigrator, empty_postgres_url: str, revision: str
) -> None:
    """Down again, the schema is what it was, and so are the rows that it had a place for."""
    go_to(migrator, revision)
    load(empty_postgres_url, revision)
    tables = await columns(empty_postgres_url)
    before = await dump(empty_postgres_url, tables)
    await anyio.to_thread.run_sync(migrator.up)
    await anyio.to_thread.run_sync(migrator.down, revision)
    assert await columns(empty_postgres_url) == tables
    assert await dump(empty_postgres_url, tables) == before


@pytest.mark.parametrize("revision", REVISIONS)
def test_old_code_on_the_new_schema(
    migrator: PostgresMigrator, empty_postgres_url: str, revision: str
) -> None:
    """What an older release writes, this release's schema takes: both run during an upgrade."""
    migrator.up()
    load(empty_postgres_url, revision)


def test_every_revision_has_its_rows() -> None:
    """And there are no rows of revisions that do not exist."""
    assert sorted(file.stem for file in DATA.iterdir()) == list(REVISIONS)


async def test_a_migration_may_take_its_time(migrator: PostgresMigrator) -> None:
    """An index that is built concurrently, out of the transaction, has no limit but for locks."""
    told: list[str] = []

    def run(config: Any) -> None:
        connection = config.attributes["connection"]
        told.extend(
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("statement_timeout", "lock_timeout")
        )

    await anyio.to_thread.run_sync(migrator._migrate, run)
    assert told == ["0", "5s"]
