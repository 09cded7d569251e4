"""What durability rests on, read back from the connections that the store uses."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from juststorage.errors import Corrupt, StorageFull
from juststorage.ports import MetadataStore
from juststorage.testing import (
    FakeClock,
    make_content,
    make_intent,
    open_backend,
    open_context,
    store_object,
)
from juststorage_sqlite._store import SqliteMetadataStore, open_store
from juststorage_sqlite.plugin import SQLITE, SqliteOptions


@pytest.fixture
async def sqlite_store(path: Path, clock: FakeClock) -> AsyncIterator[SqliteMetadataStore]:
    """The store itself, without the guard that core puts around it."""
    async with (
        open_context(clock=clock) as context,
        open_store(SqliteOptions(path=str(path)), context) as store,
    ):
        yield store


async def test_commits_are_synced(sqlite_store: SqliteMetadataStore) -> None:
    """The writer syncs its log at every commit, enforces references and never waits by itself."""
    settings = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
    found = await sqlite_store._writer.run(
        lambda db, now: [db.execute(f"PRAGMA {each}").fetchone()[0] for each in settings]
    )
    assert found == ["wal", 2, 1, 0, 0]


async def test_readers_cannot_write(sqlite_store: SqliteMetadataStore) -> None:
    """A statement in the wrong place fails; it does not change anything."""
    assert await sqlite_store._reader.run(
        lambda db: db.execute("PRAGMA query_only").fetchone()
    ) == (1,)


async def test_closing_leaves_one_file(path: Path, clock: FakeClock) -> None:
    """After the last store has closed, the log is part of the database: one file to copy.

    The turnstile's two files are empty, and made again when they are missing; so is the ballast.
    """
    async with open_backend(SQLITE, SqliteOptions(path=str(path)), clock=clock) as store:
        await store_object(store)
    path.with_name(f"{path.name}-ballast").unlink()
    sizes = {each.name: each.stat().st_size for each in path.parent.iterdir()}
    assert sizes.pop(path.name) > 0
    assert sizes == {f"{path.name}-waiting": 0, f"{path.name}-writing": 0}


async def test_damage_at_run_time_is_corrupt(store: MetadataStore, path: Path) -> None:
    """Pages that make no sense are reported as damage, without the driver's words."""
    committed = await store_object(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET rootpage = 1000000 WHERE name = 'objects'")
        version = other.execute("PRAGMA schema_version").fetchone()[0]
        other.execute(f"PRAGMA schema_version = {version + 1}")
    with pytest.raises(Corrupt) as raised:
        await store.objects.find(committed.object.tenant_id, committed.object.id)
    assert "sqlite" not in str(raised.value)


async def test_a_full_disk_takes_nothing_with_it(sqlite_store: SqliteMetadataStore) -> None:
    """An upload that finds no room says so and had no effect; the next one works."""
    store = sqlite_store
    size = await store._writer.run(lambda db, now: db.execute("PRAGMA page_count").fetchone()[0])
    await store._writer.run(
        lambda db, now: db.execute(f"PRAGMA max_page_count = {size}").fetchall()
    )
    big = {"text": "x" * 15_000}

    async def store_many() -> None:
        for _ in range(20):
            await store_object(store, make_intent(metadata=big))

    with pytest.raises(StorageFull):
        await store_many()
    before = await store.objects.scan(after=None, limit=100)
    await store._writer.run(lambda db, now: db.execute("PRAGMA max_page_count = 100000").fetchall())
    await store_object(store, content=make_content("fits"))
    assert len(await store.objects.scan(after=None, limit=100)) == len(before) + 1
