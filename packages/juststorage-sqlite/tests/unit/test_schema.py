"""One schema in three forms: the tables, the rendered file, and where the migrations arrive."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

import juststorage_sqlite
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._migrator import SqliteMigrator, script_config
from juststorage_sqlite._prepare import prepare
from juststorage_sqlite._revisions import HEAD, REVISIONS
from juststorage_sqlite._schema import render

NOW = 1_700_000_000_000_000


def described(db: sqlite3.Connection) -> dict[str, object]:
    """What matters of a schema: columns, keys, checks, indexes, triggers; not how text is set."""
    found: dict[str, object] = {}
    for name, kind, text in db.execute("SELECT name, type, sql FROM sqlite_master"):
        if kind == "table" and name != "alembic_version":
            found[name] = {
                "columns": db.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                "references": db.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                "constraints": sorted(
                    re.sub(r"\s+", " ", line).strip(" ,")
                    for line in text.splitlines()
                    if "CONSTRAINT" in line
                ),
                "rowid": "WITHOUT ROWID" not in text,
            }
        elif kind in {"index", "trigger"} and text is not None:
            found[name] = re.sub(r"\s+", " ", text)
    return found


def test_the_rendered_file_is_up_to_date() -> None:
    """`python -m juststorage_sqlite._schema` was run after the last change of the tables."""
    rendered = Path(juststorage_sqlite.__file__).with_name("schema.sql").read_text()
    assert rendered == render()


def test_migrations_arrive_at_the_same_schema(tmp_path: Path) -> None:
    """A file that was migrated is like a file that was made in one go."""
    made, migrated = (
        Connecting(path=tmp_path / name, busy_timeout_s=1, cache_bytes=2**20, checkpoint_pages=1000)
        for name in ("made", "migrated")
    )
    prepare(made, auto_migrate=True)
    SqliteMigrator(migrated).up()
    with closing(connect(made)) as one, closing(connect(migrated)) as two:
        assert described(one) == described(two)


def test_the_known_revisions_are_those_of_alembic() -> None:
    """The constant that spares start-up an import says what the migrations say."""
    script = ScriptDirectory.from_config(script_config())
    found = [each.revision for each in script.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS
    assert script.get_heads() == [HEAD]


def add_object(db: sqlite3.Connection, **columns: object) -> None:
    """An object row, COMMITTED without content unless told otherwise."""
    values: dict[str, object] = {
        "id": "1",
        "namespace": "n",
        "tenant_id": "t",
        "key": None,
        "status": "DELETED",
        "storage_class": "hot",
        "content_hash": None,
        "size_bytes": None,
        "content_type": "x/y",
        "metadata": "{}",
        "created_at": NOW,
        "updated_at": NOW,
        "blob_hash": None,
        "claims_key": 0,
        "lease_expires_at": None,
        "lease_epoch": 1,
        **columns,
    }
    marks = ", ".join("?" * len(values))
    names = ", ".join(values)
    db.execute(f"INSERT INTO objects ({names}) VALUES ({marks})", tuple(values.values()))


def add_blob(db: sqlite3.Connection, **columns: object) -> None:
    """A blob row."""
    values = {
        "content_hash": "h",
        "storage_class": "hot",
        "size_bytes": 1,
        "ref_count": 0,
        "first_seen_at": NOW,
        **columns,
    }
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO blobs ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


HELD = {"content_hash": "h", "blob_hash": "h", "size_bytes": 1}


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "GONE"},
        {"storage_class": "warm"},
        {"size_bytes": -1},
        {"status": "WRITING"},
        {"lease_expires_at": NOW},
        {"status": "COMMITTED"},
        {"status": "COMMITTED", **HELD, "size_bytes": None},
        {"status": "COMMITTED", **HELD, "content_hash": "other"},
        {"status": "WRITING", "lease_expires_at": NOW, "content_hash": "h"},
        {"status": "DELETING", **HELD},
        {"status": "DELETED", **HELD},
        {"status": "COMMITTED", **HELD, "storage_class": "cold"},
        {"status": "COMMITTED", "content_hash": "x", "blob_hash": "x", "size_bytes": 1},
    ],
    ids=str,
)
def test_objects_that_cannot_be_are_refused(
    db: sqlite3.Connection, columns: dict[str, object]
) -> None:
    """A bug or manual SQL meets the constraints before it meets the data (R04)."""
    add_blob(db)
    with pytest.raises(sqlite3.IntegrityError):
        add_object(db, **columns)


@pytest.mark.parametrize(
    "columns",
    [{"ref_count": -1}, {"size_bytes": -1}, {"storage_class": "warm"}, {"stored_at": NOW}],
    ids=str,
)
def test_blobs_that_cannot_be_are_refused(
    db: sqlite3.Connection, columns: dict[str, object]
) -> None:
    """A count is never below zero, and what is stored is somewhere."""
    with pytest.raises(sqlite3.IntegrityError):
        add_blob(db, **columns)


def test_a_blob_that_is_held_cannot_be_deleted(db: sqlite3.Connection) -> None:
    """Whatever its count says, the foreign key keeps a row that an object refers to (R04)."""
    add_blob(db)
    add_object(db, status="COMMITTED", **HELD)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("DELETE FROM blobs")


def test_a_key_has_one_holder(db: sqlite3.Connection) -> None:
    """COMMITTED and claiming objects exclude each other; others share the key (I7)."""
    add_blob(db)
    add_object(db, id="1", key="k", status="COMMITTED", **HELD)
    add_object(db, id="2", key="k", status="DELETED")
    add_object(db, id="3", key="k", status="WRITING", lease_expires_at=NOW)
    add_object(db, id="4", key="k", status="COMMITTED", namespace="other", **HELD)
    add_object(db, id="5", key="k", status="COMMITTED", tenant_id="other", **HELD)
    for columns in (
        {"status": "COMMITTED", **HELD},
        {"status": "WRITING", "lease_expires_at": NOW, "claims_key": 1},
    ):
        with pytest.raises(sqlite3.IntegrityError):
            add_object(db, id="6", key="k", **columns)
