"""The tables, as SQLAlchemy Core: the one place where they are written down.

`schema.sql` is this module rendered (`python -m juststorage_sqlite._schema`), and what a fresh file
is made from: importing SQLAlchemy takes longer than opening the store. Tests hold the three
together: these tables, the rendered file, and what the migrations arrive at.

Times are integer microseconds since 1970 in UTC. Ids, hashes and names are TEXT in SQLite's BINARY
collation, which compares bytes. Constraints are named, so that migrations can name them.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

__all__ = ["TRIGGERS", "metadata", "render"]

metadata = MetaData()

_COMMITTED = text("status = 'COMMITTED'")
# Who holds a key: an object that clients see, or an upload that claimed the key when it began.
_HOLDS_KEY = text(
    "key IS NOT NULL AND (status = 'COMMITTED' OR (status = 'WRITING' AND claims_key = 1))"
)

objects = Table(
    "objects",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("key", Text),
    Column("status", Text, nullable=False),
    Column("storage_class", Text, nullable=False),
    # Stays on the tombstone; blob_hash is the reference, and there only while it counts.
    Column("content_hash", Text),
    Column("size_bytes", Integer),
    Column("content_type", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("updated_at", Integer, nullable=False),
    Column("blob_hash", Text),
    Column("claims_key", Integer, nullable=False),
    Column("lease_expires_at", Integer),
    Column("lease_epoch", Integer, nullable=False),
    ForeignKeyConstraint(
        ["blob_hash", "storage_class"],
        ["blobs.content_hash", "blobs.storage_class"],
        name="fk_objects_blob",
        ondelete="RESTRICT",
    ),
    CheckConstraint(
        "status IN ('WRITING', 'COMMITTED', 'DELETING', 'DELETED')", name="ck_objects_status"
    ),
    CheckConstraint("storage_class IN ('hot', 'cold')", name="ck_objects_storage_class"),
    CheckConstraint("size_bytes >= 0", name="ck_objects_size"),
    CheckConstraint(
        "(status = 'WRITING') = (lease_expires_at IS NOT NULL)", name="ck_objects_lease"
    ),
    # A live object's hash is its reference; what is dead refers to nothing.
    CheckConstraint(
        "CASE status WHEN 'WRITING' THEN blob_hash IS content_hash"
        " WHEN 'COMMITTED' THEN blob_hash IS content_hash AND blob_hash IS NOT NULL"
        " AND size_bytes IS NOT NULL ELSE blob_hash IS NULL END",
        name="ck_objects_reference",
    ),
)

blobs = Table(
    "blobs",
    metadata,
    Column("content_hash", Text, primary_key=True, nullable=False),
    Column("storage_class", Text, primary_key=True, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("ref_count", Integer, nullable=False),
    Column("locator", Text),
    Column("stored_at", Integer),
    Column("zero_since", Integer),
    Column("claimed_until", Integer),
    Column("first_seen_at", Integer, nullable=False),
    Column("last_used_at", Integer),
    CheckConstraint("storage_class IN ('hot', 'cold')", name="ck_blobs_storage_class"),
    CheckConstraint("size_bytes >= 0", name="ck_blobs_size"),
    # Never clamped: a count below zero is a bug that must be seen.
    CheckConstraint("ref_count >= 0", name="ck_blobs_ref_count"),
    CheckConstraint("stored_at IS NULL OR locator IS NOT NULL", name="ck_blobs_stored"),
    # Rows are small and found by their key alone.
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("hashed", LargeBinary, nullable=False),
    # JSON arrays; NULL means every one.
    Column("tenants", Text),
    Column("scopes", Text, nullable=False),
    Column("namespaces", Text),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer),
    Column("last_used_at", Integer),
    Column("is_active", Integer, nullable=False),
    UniqueConstraint("hashed", name="uq_api_keys_hashed"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("tenant_id", Text, primary_key=True, nullable=False),
    Column("namespace", Text, primary_key=True, nullable=False),
    Column("storage_class", Text, primary_key=True, nullable=False),
    Column("objects", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    sqlite_with_rowid=False,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", Text, primary_key=True, nullable=False),
    Column("key", Text, primary_key=True, nullable=False),
    Column("request", Text, nullable=False),
    Column("upload_id", Text, nullable=False),
    Column("expires_at", Integer, nullable=False),
    # The first answer as JSON; NULL while its upload is under way.
    Column("answer", Text),
    sqlite_with_rowid=False,
)
Index("ix_idempotency_keys_expires", idempotency_keys.c.expires_at)

# Filled by triggers of the writer's own connection, where that is wanted: see `_audit`.
audit_events = Table(
    "audit_events",
    metadata,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("at", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text),
    Column("request_id", Text),
    Column("tenant_id", Text),
    Column("namespace", Text),
    Column("target", Text, nullable=False),
    Column("details", Text, nullable=False),
)

tallies = Table(
    "tallies",
    metadata,
    Column("window_start", Integer, primary_key=True, nullable=False),
    Column("name", Text, primary_key=True, nullable=False),
    Column("amount", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What keeps collectors from garbage that is younger; no end means a restore that has not ended.
holds = Table(
    "holds",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("since", Integer, nullable=False),
    Column("expires_at", Integer),
    sqlite_with_rowid=False,
)

# What every process of the store is to follow; a row is there once its switch was turned.
switches = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("is_on", Integer, nullable=False),
    Column("turns", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What alembic makes by itself; here, so that a fresh file needs no alembic.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", Text, primary_key=True, nullable=False),
)


def _index(name: str, table: Table, *columns: str, where: object, unique: bool = False) -> None:
    Index(name, *(table.c[column] for column in columns), unique=unique, sqlite_where=where)


_index("uq_objects_key", objects, "tenant_id", "namespace", "key", where=_HOLDS_KEY, unique=True)
# Pages: one index for each order, each ending in the id that breaks ties.
_index("ix_objects_created", objects, "tenant_id", "created_at", "id", where=_COMMITTED)
_index(
    "ix_objects_namespace_created",
    objects,
    "tenant_id",
    "namespace",
    "created_at",
    "id",
    where=_COMMITTED,
)
_index("ix_objects_key", objects, "tenant_id", "key", "id", where=_COMMITTED)
_index("ix_objects_updated", objects, "tenant_id", "updated_at", "id", where=_COMMITTED)
_index("ix_objects_size", objects, "tenant_id", "size_bytes", "id", where=_COMMITTED)
# The foreign key, the re-check of the collector, and filters by content.
_index(
    "ix_objects_blob",
    objects,
    "blob_hash",
    "storage_class",
    where=text("blob_hash IS NOT NULL"),
)
_index("ix_objects_lease", objects, "lease_expires_at", where=text("status = 'WRITING'"))
_index(
    "ix_objects_deleting",
    objects,
    "content_hash",
    "storage_class",
    where=text("status = 'DELETING'"),
)
_index("ix_objects_deleted", objects, "updated_at", where=text("status = 'DELETED'"))
_index("ix_blobs_garbage", blobs, "zero_since", where=text("ref_count = 0"))
_index("ix_blobs_locator", blobs, "storage_class", "locator", where=text("locator IS NOT NULL"))

# Counted where objects change, whoever changes them: the previous release and an operator with the
# SQLite shell included. There is one writer, so nobody waits for a counter. docs/adr/0019.
TRIGGERS = (
    """CREATE TRIGGER objects_usage_insert AFTER INSERT ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END""",
    """CREATE TRIGGER objects_usage_enter
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END""",
    """CREATE TRIGGER objects_usage_leave
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END""",
    """CREATE TRIGGER objects_usage_delete AFTER DELETE ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END""",
    """CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END""",
    """CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END""",
)


def render() -> str:
    """Tables, indexes and triggers as SQL text, statements apart by an empty line."""
    dialect = sqlite.dialect()
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda index: index.name or "")
        ]
    statements += TRIGGERS
    return (
        "\n\n".join(
            "\n".join(line.rstrip() for line in statement.strip().splitlines() if line.strip())
            + ";"
            for statement in statements
        )
        + "\n"
    )


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).with_name("schema.sql").write_text(render())
