"""Every statement on a path that must stay fast is served by an index, at any size."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from juststorage.domain import ContentHash, Namespace, Position, Query, SortBy, TenantId
from juststorage_sqlite import _blobs, _changes, _garbage, _lookups, _moves
from juststorage_sqlite._filters import add_functions
from juststorage_sqlite._pages import statements

TENANT = TenantId("acme")


def plan(db: sqlite3.Connection, statement: str, values: object = None) -> str:
    """The plan's lines; parameters do not matter to it."""
    if values is None:
        values = (None,) * max(
            statement.count("?"), max((n for n in range(20) if f"?{n}" in statement), default=0)
        )
        given = [int(text[0]) for text in statement.split("?")[1:] if text[:1].isdigit()]
        values = (None,) * (max(given) if given else statement.count("?"))
    rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    return "\n".join(detail for *_, detail in rows)


def full_scans(steps: str) -> list[str]:
    """The steps that read a whole table of ours."""
    tables = ("objects", "blobs", "o", "b", "api_keys")
    return [
        line
        for line in steps.splitlines()
        if line.startswith("SCAN ") and line.split()[1] in tables and "INDEX" not in line
    ]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (_lookups._BY_ID, "sqlite_autoindex_objects_1"),
        (_lookups._BY_KEY, "uq_objects_key"),
        (_moves._HOLDER, "uq_objects_key"),
        (_moves._HOLD, None),
        (_moves._RELEASE, "PRIMARY KEY"),
        (_moves._CONFIRM, "PRIMARY KEY"),
        (_changes._BY_ID, "sqlite_autoindex_objects_1"),
        (_changes._BY_KEY, "uq_objects_key"),
        (_changes._COMMITTED_OF, "sqlite_autoindex_objects_1"),
        (_changes._RELEASE_MANY, "sqlite_autoindex_objects_1"),
        (_changes._EXPIRED, "ix_objects_lease"),
        (_changes._TO_BURY, "ix_objects_deleting"),
        (_changes._BURY, "sqlite_autoindex_objects_1"),
        (_changes._PURGE, "ix_objects_deleted"),
        (_garbage._GARBAGE, "ix_blobs_garbage"),
        (_garbage._FOR_REMOVAL, "ix_objects_blob"),
        (_garbage._BURY_OF, "ix_objects_deleting"),
        (_garbage._REMOVE, "PRIMARY KEY"),
        (_garbage._CLAIM, "PRIMARY KEY"),
        (_garbage._COUNTS, "ix_objects_blob"),
        (_blobs._FIND, "PRIMARY KEY"),
        (_blobs._IN_USE, "ix_blobs_locator"),
        (_blobs._SCAN, "PRIMARY KEY"),
    ],
)
def test_statements_use_their_index(
    db: sqlite3.Connection, statement: str, index: str | None
) -> None:
    """None of them reads a whole table."""
    steps = plan(db, statement)
    assert full_scans(steps) == [], steps
    assert index is None or index in steps, steps


AFTER = Position(datetime(2026, 1, 1, tzinfo=UTC), "0")
ONE = Query(tenant_id=TENANT, namespaces=frozenset({Namespace("models")}))
TWO = replace(ONE, namespaces=frozenset({Namespace("models"), Namespace("other")}))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(tenant_id=TENANT), "ix_objects_created"),
        (Query(tenant_id=TENANT, after=AFTER), "ix_objects_created"),
        (ONE, "ix_objects_namespace_created"),
        (replace(ONE, after=AFTER), "ix_objects_namespace_created"),
        (TWO, "ix_objects_created"),
        (Query(tenant_id=TENANT, sort_by=SortBy.UPDATED_AT, after=AFTER), "ix_objects_updated"),
        (
            Query(tenant_id=TENANT, sort_by=SortBy.SIZE_BYTES, after=Position(1, "0")),
            "ix_objects_size",
        ),
        (Query(tenant_id=TENANT, sort_by=SortBy.KEY), "ix_objects_key"),
        (Query(tenant_id=TENANT, sort_by=SortBy.KEY, after=Position("k", "0")), "ix_objects_key"),
        (Query(tenant_id=TENANT, sort_by=SortBy.KEY, key_prefix="a/"), "ix_objects_key"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_pages_walk_an_index_in_order(
    db: sqlite3.Connection, query: Query, index: str, descending: bool
) -> None:
    """A page is read in order from its position on, never sorted, so depth costs nothing."""
    add_functions(db)
    for statement, values in statements(replace(query, descending=descending)):
        steps = plan(db, statement, {**values, "limit": 51})
        assert f"{index} (" in steps, steps
        assert "TEMP B-TREE" not in steps, steps


def test_a_prefix_in_a_namespace_is_a_range(db: sqlite3.Connection) -> None:
    """Listing a folder of one namespace by key reads that folder alone."""
    query = replace(ONE, sort_by=SortBy.KEY, descending=False, key_prefix="a/")
    (statement, values), *_ = list(statements(query))
    steps = plan(db, statement, {**values, "limit": 51})
    assert "key>? AND key<?" in steps, steps


def test_a_content_filter_seeks_the_content(db: sqlite3.Connection) -> None:
    """Who has these bytes is found from the bytes."""
    query = Query(tenant_id=TENANT, content_hash=ContentHash("sha256:" + "0" * 64))
    (statement, values), *_ = list(statements(query))
    assert "ix_objects_blob" in plan(db, statement, {**values, "limit": 51})


def test_the_foreign_key_finds_its_objects_by_index(db: sqlite3.Connection) -> None:
    """Deleting a blob row does not read all objects to see that none refers to it."""
    opened = db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'ix_objects_blob'"
    ).fetchone()
    table = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'objects'").fetchone()
    program = db.execute("EXPLAIN DELETE FROM blobs WHERE content_hash = 'x'").fetchall()
    reads = {row[3] for row in program if row[1] == "OpenRead"}
    scans = {row[2] for row in program if row[1] == "Rewind"}
    cursors = {row[2]: row[3] for row in program if row[1] == "OpenRead"}
    assert opened[0] in reads
    assert table[0] not in {cursors.get(cursor) for cursor in scans}
