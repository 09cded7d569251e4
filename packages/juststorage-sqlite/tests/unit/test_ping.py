"""Readiness: whether the database can be worked with, not only whether it answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from juststorage.errors import Unavailable
from juststorage.ports import MetadataStore
from juststorage_sqlite._connection import Connecting
from juststorage_sqlite._migrator import SqliteMigrator
from juststorage_sqlite._store import outdated


def execute(statement: str) -> Callable[[Path], None]:
    """A change that somebody else makes to the file."""

    def run(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)

    return run


async def test_a_schema_that_is_taken_away_under_a_service(
    store: MetadataStore, how: Connecting
) -> None:
    """After `migrate down base` the service is not ready, and says what to run."""
    await store.ping()
    SqliteMigrator(how).down("base")
    with pytest.raises(Unavailable, match=r"no schema.*juststorage migrate up"):
        await store.ping()
    await store.answers()
    SqliteMigrator(how).up()
    await store.ping()


@pytest.mark.parametrize(
    "change",
    [
        execute("DROP TABLE alembic_version"),
        execute("DELETE FROM alembic_version"),
        execute("ALTER TABLE blobs RENAME TO others"),
    ],
)
async def test_a_schema_that_somebody_broke(
    store: MetadataStore, path: Path, change: Callable[[Path], None]
) -> None:
    """A database that lost its tables is not ready; no word of the driver's is told."""
    change(path)
    with pytest.raises(Unavailable, match="has not the tables that it should have"):
        await store.ping()


async def test_a_newer_schema_serves_during_an_upgrade(store: MetadataStore, path: Path) -> None:
    """The next release migrates while this one still works: it stays ready."""
    execute("UPDATE alembic_version SET version_num = '9999'")(path)
    await store.ping()


def test_only_what_is_older_is_outdated() -> None:
    """Missing and older schemas are named with what to run; ours and newer ones are not."""
    known = ("0001", "0002")
    assert outdated(None, known) == "no schema"
    assert outdated("0001", known) == "schema 0001, and 0002 is needed"
    assert outdated("0002", known) is None
    assert outdated("0003", known) is None
