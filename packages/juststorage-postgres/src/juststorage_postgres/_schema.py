"""The tables. This is the one place where they are written.

The migrations lead to these tables, and a test compares the two; the statements take their column
lists from here.

**Text is compared byte for byte** (`COLLATE "C"`): keys are names, not words, and only so can a
range over an index find a prefix. **Times** are the server's. **Metadata** is `json`, not `jsonb`:
clients get back the text they sent, with its order and its numbers; a filter casts it where it
looks inside.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

__all__ = [
    "HELD",
    "api_keys",
    "audit_events",
    "blobs",
    "columns",
    "holds",
    "idempotency_keys",
    "metadata",
    "objects",
    "secrets",
    "tallies",
    "usage",
    "usage_deltas",
]

HELD: Final = "(status = 'COMMITTED' OR (status = 'WRITING' AND claims_key))"
"""Which objects hold their key: the predicate of the unique index. A PUT claims nothing."""

_C: Final = sa.Text(collation="C")
_TIME: Final = sa.DateTime(timezone=True)

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(referred_table_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

blobs: Final = sa.Table(
    "blobs",
    metadata,
    sa.Column("content_hash", _C, primary_key=True),
    sa.Column("storage_class", _C, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("ref_count", sa.BigInteger, nullable=False),
    sa.Column("locator", _C),
    sa.Column("stored_at", _TIME),
    sa.Column("zero_since", _TIME),
    sa.Column("claimed_until", _TIME),
    sa.Column("first_seen_at", _TIME, nullable=False),
    sa.Column("last_used_at", _TIME),
    # A count below zero is a bug that must be heard, never one that is clamped away.
    sa.CheckConstraint("ref_count >= 0", name="count"),
    sa.CheckConstraint("size_bytes >= 0", name="size"),
    sa.CheckConstraint("storage_class IN ('hot', 'cold')", name="storage_class"),
    sa.CheckConstraint("stored_at IS NULL OR locator IS NOT NULL", name="stored"),
)

# ref_count is in no index, nor in an index's predicate: counting up and down stays a HOT update.
sa.Index(
    "blobs_garbage_idx", blobs.c.zero_since, postgresql_where=sa.text("zero_since IS NOT NULL")
)
sa.Index("blobs_locator_idx", blobs.c.locator)

objects: Final = sa.Table(
    "objects",
    metadata,
    sa.Column("id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("namespace", _C, nullable=False),
    sa.Column("tenant_id", _C, nullable=False),
    sa.Column("key", _C),
    sa.Column("status", _C, nullable=False),
    sa.Column("storage_class", _C, nullable=False),
    sa.Column("content_hash", _C),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("content_type", sa.Text(collation="C"), nullable=False),
    sa.Column("metadata", pg.JSON, nullable=False),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME, nullable=False),
    sa.Column("blob_hash", _C),
    sa.Column("claims_key", sa.Boolean, nullable=False),
    sa.Column("lease_expires_at", _TIME),
    sa.Column("lease_epoch", sa.BigInteger, nullable=False),
    # The strongest guard there is: whatever a count says, a blob that an object holds stays.
    sa.ForeignKeyConstraint(
        ["blob_hash", "storage_class"],
        ["blobs.content_hash", "blobs.storage_class"],
        name="objects_blobs_fkey",
        ondelete="RESTRICT",
    ),
    sa.CheckConstraint("status IN ('WRITING', 'COMMITTED', 'DELETING', 'DELETED')", name="status"),
    sa.CheckConstraint("storage_class IN ('hot', 'cold')", name="storage_class"),
    sa.CheckConstraint("blob_hash IS NULL OR blob_hash = content_hash", name="blob_hash"),
    sa.CheckConstraint(
        "CASE status WHEN 'COMMITTED' THEN blob_hash IS NOT NULL AND size_bytes IS NOT NULL"
        " WHEN 'WRITING' THEN lease_expires_at IS NOT NULL ELSE blob_hash IS NULL END",
        name="state",
    ),
)

_t = objects.c
_COMMITTED: Final = sa.text("status = 'COMMITTED'")

sa.Index(
    "objects_key_holder_idx",
    _t.tenant_id,
    _t.namespace,
    _t.key,
    unique=True,
    postgresql_where=sa.text(HELD),
)
# For the foreign key's own check, the collector's second look, and recounts.
sa.Index(
    "objects_blob_idx",
    _t.blob_hash,
    _t.storage_class,
    postgresql_where=sa.text("blob_hash IS NOT NULL"),
)
sa.Index("objects_newest_idx", _t.tenant_id, _t.created_at, _t.id, postgresql_where=_COMMITTED)
sa.Index(
    "objects_created_idx",
    _t.tenant_id,
    _t.namespace,
    _t.created_at,
    _t.id,
    postgresql_where=_COMMITTED,
)
sa.Index(
    "objects_updated_idx",
    _t.tenant_id,
    _t.namespace,
    _t.updated_at,
    _t.id,
    postgresql_where=_COMMITTED,
)
sa.Index(
    "objects_size_idx",
    _t.tenant_id,
    _t.namespace,
    _t.size_bytes,
    _t.id,
    postgresql_where=_COMMITTED,
)
# The end of a list by key. Objects with a key are found by the index of its holders.
sa.Index(
    "objects_keyless_idx",
    _t.tenant_id,
    _t.namespace,
    _t.id,
    postgresql_where=sa.text("status = 'COMMITTED' AND key IS NULL"),
)
sa.Index("objects_lease_idx", _t.lease_expires_at, postgresql_where=sa.text("status = 'WRITING'"))
sa.Index(
    "objects_deleting_idx",
    _t.content_hash,
    _t.storage_class,
    postgresql_where=sa.text("status = 'DELETING'"),
)
sa.Index("objects_tombstone_idx", _t.updated_at, postgresql_where=sa.text("status = 'DELETED'"))

api_keys: Final = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", _C, primary_key=True),
    sa.Column("name", sa.Text(collation="C"), nullable=False),
    sa.Column("prefix", _C, nullable=False),
    sa.Column("hashed", pg.BYTEA, nullable=False),
    sa.Column("tenants", pg.ARRAY(sa.Text)),
    sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("namespaces", pg.ARRAY(sa.Text)),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("expires_at", _TIME),
    sa.Column("last_used_at", _TIME),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.UniqueConstraint("hashed", name="api_keys_hashed_key"),
)

secrets: Final = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", _C, primary_key=True),
    sa.Column("value", pg.BYTEA, nullable=False),
)

idempotency_keys: Final = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("tenant_id", _C, primary_key=True),
    sa.Column("key", _C, primary_key=True),
    sa.Column("request", _C, nullable=False),
    sa.Column("upload_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("expires_at", _TIME, nullable=False),
    # The first answer as JSON; NULL while its upload is under way.
    sa.Column("answer", _C),
)
sa.Index("idempotency_keys_expires_idx", idempotency_keys.c.expires_at)

usage: Final = sa.Table(
    "usage",
    metadata,
    sa.Column("tenant_id", _C, primary_key=True),
    sa.Column("namespace", _C, primary_key=True),
    sa.Column("storage_class", _C, primary_key=True),
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

# Added to by every transaction that changes a count, and folded into `usage` in the background: no
# row that every upload of a tenant would have to wait for. Both together are the count.
usage_deltas: Final = sa.Table(
    "usage_deltas",
    metadata,
    sa.Column("tenant_id", _C, nullable=False),
    sa.Column("namespace", _C, nullable=False),
    sa.Column("storage_class", _C, nullable=False),
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
sa.Index("usage_deltas_tenant_idx", usage_deltas.c.tenant_id)

tallies: Final = sa.Table(
    "tallies",
    metadata,
    sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", _C, primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

# What keeps collectors from garbage that is younger; no end means a restore that has not ended.
holds: Final = sa.Table(
    "holds",
    metadata,
    sa.Column("name", _C, primary_key=True),
    sa.Column("since", _TIME, nullable=False),
    sa.Column("expires_at", _TIME),
)

# What every process of the store is to follow; a row is there once its switch was turned.
switches: Final = sa.Table(
    "switches",
    metadata,
    sa.Column("name", _C, primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("turns", sa.BigInteger, nullable=False),
)

# Filled by triggers, in transactions that say in whose name they act: see `_audit`.
audit_events: Final = sa.Table(
    "audit_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("action", _C, nullable=False),
    sa.Column("subject", _C),
    sa.Column("request_id", _C),
    sa.Column("tenant_id", _C),
    sa.Column("namespace", _C),
    sa.Column("target", _C, nullable=False),
    sa.Column("details", _C, nullable=False),
)

# In the database rather than in our statements: whoever changes objects is counted, the previous
# release during a rolling upgrade and an operator with psql included. Once for each statement, so a
# gathered one adds a row for each namespace and class that it touches. docs/adr/0019.
COUNT_USAGE: Final = """
CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO usage_deltas (tenant_id, namespace, storage_class, objects, bytes)
        SELECT tenant_id, namespace, storage_class, count(*), sum(size_bytes)
        FROM new_rows WHERE status = 'COMMITTED' GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO usage_deltas (tenant_id, namespace, storage_class, objects, bytes)
        SELECT tenant_id, namespace, storage_class, -count(*), -sum(size_bytes)
        FROM old_rows WHERE status = 'COMMITTED' GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO usage_deltas (tenant_id, namespace, storage_class, objects, bytes)
        SELECT tenant_id, namespace, storage_class, sum(n), sum(n * size_bytes) FROM (
            SELECT tenant_id, namespace, storage_class, size_bytes, 1 AS n
            FROM new_rows WHERE status = 'COMMITTED'
            UNION ALL
            SELECT tenant_id, namespace, storage_class, size_bytes, -1
            FROM old_rows WHERE status = 'COMMITTED'
        ) AS c GROUP BY 1, 2, 3 HAVING sum(n) <> 0 OR sum(n * size_bytes) <> 0;
    END IF;
    RETURN NULL;
END $$"""

_TRIGGERS: Final = {
    "insert": "REFERENCING NEW TABLE AS new_rows",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows",
}


def _create_with(table: sa.MetaData | sa.Table, statement: str) -> None:
    """Run a statement after the table, or all of them, were created."""
    ddl = sa.DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    sa.event.listen(table, "after_create", ddl)


_create_with(usage_deltas, COUNT_USAGE)
for _name, _rows in _TRIGGERS.items():
    _create_with(
        metadata,
        f"CREATE TRIGGER objects_usage_{_name} AFTER {_name.upper()} ON objects {_rows}"
        " FOR EACH STATEMENT EXECUTE FUNCTION count_usage()",
    )


AUDIT: Final = (
    """CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only';
END $$""",
    """CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()""",
    """CREATE FUNCTION audit_object() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor jsonb := current_setting('juststorage.actor')::jsonb;
BEGIN
    INSERT INTO audit_events
        (at, action, subject, request_id, tenant_id, namespace, target, details)
    VALUES (
        clock_timestamp(), TG_ARGV[0], actor ->> 'subject', actor ->> 'request_id',
        NEW.tenant_id, NEW.namespace, NEW.id::text,
        jsonb_build_object('content_hash', NEW.content_hash, 'storage_class', NEW.storage_class)
    );
    RETURN NULL;
END $$""",
    """CREATE FUNCTION audit_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor jsonb := current_setting('juststorage.actor')::jsonb;
BEGIN
    INSERT INTO audit_events (at, action, subject, request_id, target, details)
    VALUES (
        clock_timestamp(), TG_ARGV[0], actor ->> 'subject', actor ->> 'request_id', NEW.id,
        jsonb_build_object(
            'name', NEW.name, 'scopes', NEW.scopes, 'is_active', NEW.is_active
        )
    );
    RETURN NULL;
END $$""",
    """CREATE TRIGGER objects_audit_insert AFTER INSERT ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> '' AND NEW.status = 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.created')""",
    """CREATE TRIGGER objects_audit_enter AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status <> 'COMMITTED' AND NEW.status = 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.created')""",
    """CREATE TRIGGER objects_audit_leave AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status = 'COMMITTED' AND NEW.status <> 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.deleted')""",
    """CREATE TRIGGER objects_audit_change AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status = 'COMMITTED' AND NEW.status = 'COMMITTED'
            AND (OLD.key, OLD.content_type, OLD.metadata::text, OLD.storage_class)
                IS DISTINCT FROM
                (NEW.key, NEW.content_type, NEW.metadata::text, NEW.storage_class))
        EXECUTE FUNCTION audit_object('object.changed')""",
    """CREATE TRIGGER api_keys_audit_insert AFTER INSERT ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> '')
        EXECUTE FUNCTION audit_api_key('api_key.created')""",
    """CREATE TRIGGER api_keys_audit_revoke AFTER UPDATE ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.is_active AND NOT NEW.is_active)
        EXECUTE FUNCTION audit_api_key('api_key.revoked')""",
    """CREATE TRIGGER api_keys_audit_change AFTER UPDATE ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND NOT (OLD.is_active AND NOT NEW.is_active)
            AND (OLD.name, OLD.scopes, OLD.is_active, OLD.expires_at)
                IS DISTINCT FROM (NEW.name, NEW.scopes, NEW.is_active, NEW.expires_at))
        EXECUTE FUNCTION audit_api_key('api_key.changed')""",
)
"""Functions and triggers of the audit table."""

for _statement in AUDIT:
    _create_with(metadata, _statement)


def columns(table: sa.Table, prefix: str = "", *, count: int | None = None) -> str:
    """The columns of a table, in order, as a statement selects them: all, or the first `count`."""
    # A UUID as text: the driver's own UUID objects would be made only to be taken apart again.
    return ", ".join(
        f"{prefix}{each.name}::text AS {each.name}"
        if isinstance(each.type, pg.UUID)
        else f"{prefix}{each.name}"
        for each in list(table.columns)[:count]
    )
