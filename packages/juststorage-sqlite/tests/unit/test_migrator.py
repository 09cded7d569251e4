"""The migrator, as `juststorage migrate` uses it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from msgspec.structs import replace

from juststorage.errors import Misconfigured
from juststorage.plugins import MigrationStatus
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._migrator import SqliteMigrator
from juststorage_sqlite._prepare import prepare
from juststorage_sqlite._revisions import HEAD, REVISIONS


def tables(how: Connecting) -> set[str]:
    """The tables in the file, apart from alembic's."""
    with closing(sqlite3.connect(how.path)) as db:
        rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows} - {"alembic_version"}


def test_status_before_and_after(how: Connecting) -> None:
    """Where there is no file all is pending, and asking makes none; after `up` nothing is."""
    migrator = SqliteMigrator(how)
    assert migrator.status() == MigrationStatus(current=None, head=HEAD, pending=list(REVISIONS))
    assert not how.path.exists()
    migrator.up()
    assert migrator.status() == MigrationStatus(current=HEAD, head=HEAD, pending=[])
    migrator.up()
    assert tables(how) == {
        "objects",
        "blobs",
        "api_keys",
        "secrets",
        "usage",
        "idempotency_keys",
        "audit_events",
        "tallies",
        "holds",
        "switches",
    }


def test_down_and_up_again(how: Connecting) -> None:
    """The way back leaves nothing, and a start from there is a start from nothing."""
    migrator = SqliteMigrator(how)
    migrator.up()
    migrator.down("base")
    assert tables(how) == set()
    assert migrator.status().current is None
    prepare(how, auto_migrate=True)
    assert migrator.status().current == HEAD


def test_down_to_nowhere(how: Connecting) -> None:
    """A revision that does not exist is named as the operator's mistake; nothing changes."""
    migrator = SqliteMigrator(how)
    migrator.up()
    with pytest.raises(Misconfigured):
        migrator.down("no-such-revision")
    assert migrator.status().current == HEAD


def test_from_several_places_at_once(how: Connecting) -> None:
    """One of them migrates, the others wait and find it done."""
    failures: list[BaseException] = []

    def up() -> None:
        try:
            SqliteMigrator(replace(how, busy_timeout_s=20)).up()
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert SqliteMigrator(how).status().pending == []


def test_sql_does_what_up_does(how: Connecting) -> None:
    """People who run the statements by hand get the same tables, and nothing when all is done."""
    migrator = SqliteMigrator(how)
    script = migrator.sql()
    with closing(sqlite3.connect(how.path)) as db:
        db.executescript(script)
    assert migrator.status().pending == []
    assert "CREATE" not in migrator.sql()
    prepare(how, auto_migrate=False)


def test_a_migration_that_breaks_references_is_undone(how: Connecting) -> None:
    """Foreign keys are off while tables are rebuilt, so they are checked before the commit."""
    prepare(how, auto_migrate=True)
    SqliteMigrator(how).down("0001")
    with closing(sqlite3.connect(how.path, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO objects (id, namespace, tenant_id, status, storage_class, content_hash,"
            " blob_hash, size_bytes, content_type, metadata, created_at, updated_at, claims_key,"
            " lease_epoch) VALUES ('1', 'n', 't', 'COMMITTED', 'hot', 'h', 'h', 1, 'x/y', '{}',"
            " 1, 1, 0, 1)"
        )
    with pytest.raises(Misconfigured, match="dangling"):
        SqliteMigrator(how).up()


def test_the_connection_keeps_its_settings(how: Connecting) -> None:
    """What a migration turned off is on again for whoever connects."""
    SqliteMigrator(how).up()
    with closing(connect(how)) as db:
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_objects_of_the_first_revision_are_counted(how: Connecting) -> None:
    """What was stored before usage was counted is in the count, and what comes later as well."""
    prepare(how, auto_migrate=True)
    SqliteMigrator(how).down("0001")
    add = (
        "INSERT INTO objects (id, namespace, tenant_id, status, storage_class, content_hash,"
        " blob_hash, size_bytes, content_type, metadata, created_at, updated_at, claims_key,"
        " lease_epoch) VALUES (?1, 'n', 't', ?2, 'hot', 'h', CASE ?2 WHEN 'COMMITTED' THEN 'h' END,"
        " 7, 'x/y', '{}', 1, 1, 0, 1)"
    )
    with closing(sqlite3.connect(how.path, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, first_seen_at)"
            " VALUES ('h', 'hot', 7, 3, 1)"
        )
        for number, status in enumerate(("COMMITTED", "COMMITTED", "DELETED")):
            db.execute(add, (str(number), status))
        SqliteMigrator(how).up()
        db.execute(add, ("3", "COMMITTED"))
        db.execute("UPDATE objects SET status = 'DELETING', blob_hash = NULL WHERE id IN (0, 3)")
        assert db.execute("SELECT * FROM usage").fetchall() == [("t", "n", "hot", 1, 7)]
