"""Usage, counted by the database.

Counts the objects that there are once, while whoever wants to change one waits: some seconds for
a million of them.

Revision ID: 0002
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_STATEMENTS: Final = (
    """
    CREATE TABLE usage (
        tenant_id TEXT COLLATE "C" NOT NULL,
        namespace TEXT COLLATE "C" NOT NULL,
        storage_class TEXT COLLATE "C" NOT NULL,
        objects BIGINT NOT NULL,
        bytes BIGINT NOT NULL,
        CONSTRAINT usage_pkey PRIMARY KEY (tenant_id, namespace, storage_class)
    )
    """,
    """
    CREATE TABLE usage_deltas (
        tenant_id TEXT COLLATE "C" NOT NULL,
        namespace TEXT COLLATE "C" NOT NULL,
        storage_class TEXT COLLATE "C" NOT NULL,
        objects BIGINT NOT NULL,
        bytes BIGINT NOT NULL
    )
    """,
    """
    CREATE INDEX usage_deltas_tenant_idx ON usage_deltas (tenant_id)
    """,
    """
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
END $$
    """,
    # Whoever changes an object now waits until both the count and the triggers are there. The
    # triggers take this lock anyway; taken first, it is asked for once.
    """
    LOCK TABLE objects IN SHARE ROW EXCLUSIVE MODE
    """,
    """
    CREATE TRIGGER objects_usage_insert AFTER INSERT ON objects
        REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION count_usage()
    """,
    """
    CREATE TRIGGER objects_usage_update AFTER UPDATE ON objects
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION count_usage()
    """,
    """
    CREATE TRIGGER objects_usage_delete AFTER DELETE ON objects
        REFERENCING OLD TABLE AS old_rows
        FOR EACH STATEMENT EXECUTE FUNCTION count_usage()
    """,
    """
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    SELECT tenant_id, namespace, storage_class, count(*), sum(size_bytes)
    FROM objects WHERE status = 'COMMITTED' GROUP BY 1, 2, 3
    """,
)


def upgrade() -> None:
    """Count, and go on counting."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Stop counting."""
    for name in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER objects_usage_{name} ON objects")
    op.execute("DROP FUNCTION count_usage()")
    op.drop_table("usage_deltas")
    op.drop_table("usage")
