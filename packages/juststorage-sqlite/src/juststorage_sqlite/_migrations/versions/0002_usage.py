"""Usage, counted by triggers; the objects that there are, once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRIGGERS = {
    "objects_usage_insert": """
CREATE TRIGGER objects_usage_insert AFTER INSERT ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END""",
    "objects_usage_enter": """
CREATE TRIGGER objects_usage_enter
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END""",
    "objects_usage_leave": """
CREATE TRIGGER objects_usage_leave
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END""",
    "objects_usage_delete": """
CREATE TRIGGER objects_usage_delete AFTER DELETE ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END""",
}


def upgrade() -> None:
    """Count, and go on counting."""
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("storage_class", sa.Text(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "namespace", "storage_class"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)"
        " SELECT tenant_id, namespace, storage_class, count(*), sum(size_bytes)"
        " FROM objects WHERE status = 'COMMITTED' GROUP BY 1, 2, 3"
    )
    for statement in _TRIGGERS.values():
        op.execute(statement.strip())


def downgrade() -> None:
    """Stop counting."""
    for name in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("usage")
