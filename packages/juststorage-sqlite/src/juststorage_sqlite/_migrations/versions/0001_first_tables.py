"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, the ones that are referred to first."""
    _blobs_and_keys()
    _objects()


def downgrade() -> None:
    """Drop everything, objects and keys included."""
    for table in ("objects", "secrets", "blobs", "api_keys"):
        op.drop_table(table)


def _blobs_and_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hashed", sa.LargeBinary(), nullable=False),
        sa.Column("tenants", sa.Text(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("namespaces", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Integer(), nullable=True),
        sa.Column("last_used_at", sa.Integer(), nullable=True),
        sa.Column("is_active", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hashed", name="uq_api_keys_hashed"),
    )
    op.create_table(
        "blobs",
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("storage_class", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("ref_count", sa.Integer(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=True),
        sa.Column("stored_at", sa.Integer(), nullable=True),
        sa.Column("zero_since", sa.Integer(), nullable=True),
        sa.Column("claimed_until", sa.Integer(), nullable=True),
        sa.Column("first_seen_at", sa.Integer(), nullable=False),
        sa.Column("last_used_at", sa.Integer(), nullable=True),
        sa.CheckConstraint("storage_class IN ('hot', 'cold')", name="ck_blobs_storage_class"),
        sa.CheckConstraint("ref_count >= 0", name="ck_blobs_ref_count"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_blobs_size"),
        sa.CheckConstraint("stored_at IS NULL OR locator IS NOT NULL", name="ck_blobs_stored"),
        sa.PrimaryKeyConstraint("content_hash", "storage_class"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_blobs_garbage",
        "blobs",
        ["zero_since"],
        unique=False,
        sqlite_where=sa.text("ref_count = 0"),
    )
    op.create_index(
        "ix_blobs_locator",
        "blobs",
        ["storage_class", "locator"],
        unique=False,
        sqlite_where=sa.text("locator IS NOT NULL"),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _objects() -> None:
    op.create_table(
        "objects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("storage_class", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.Column("blob_hash", sa.Text(), nullable=True),
        sa.Column("claims_key", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.Integer(), nullable=True),
        sa.Column("lease_epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(status = 'WRITING') = (lease_expires_at IS NOT NULL)", name="ck_objects_lease"
        ),
        sa.CheckConstraint(
            "CASE status WHEN 'WRITING' THEN blob_hash IS content_hash"
            " WHEN 'COMMITTED' THEN blob_hash IS content_hash AND blob_hash IS NOT NULL"
            " AND size_bytes IS NOT NULL ELSE blob_hash IS NULL END",
            name="ck_objects_reference",
        ),
        sa.CheckConstraint(
            "status IN ('WRITING', 'COMMITTED', 'DELETING', 'DELETED')", name="ck_objects_status"
        ),
        sa.CheckConstraint("storage_class IN ('hot', 'cold')", name="ck_objects_storage_class"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_objects_size"),
        sa.ForeignKeyConstraint(
            ["blob_hash", "storage_class"],
            ["blobs.content_hash", "blobs.storage_class"],
            name="fk_objects_blob",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    _indexes_of_visible_objects()
    _indexes_for_housekeeping()


def _indexes_of_visible_objects() -> None:
    op.create_index(
        "ix_objects_blob",
        "objects",
        ["blob_hash", "storage_class"],
        unique=False,
        sqlite_where=sa.text("blob_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_objects_created",
        "objects",
        ["tenant_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'COMMITTED'"),
    )
    op.create_index(
        "ix_objects_key",
        "objects",
        ["tenant_id", "key", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'COMMITTED'"),
    )
    op.create_index(
        "ix_objects_namespace_created",
        "objects",
        ["tenant_id", "namespace", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'COMMITTED'"),
    )
    op.create_index(
        "ix_objects_size",
        "objects",
        ["tenant_id", "size_bytes", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'COMMITTED'"),
    )
    op.create_index(
        "ix_objects_updated",
        "objects",
        ["tenant_id", "updated_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'COMMITTED'"),
    )
    op.create_index(
        "uq_objects_key",
        "objects",
        ["tenant_id", "namespace", "key"],
        unique=True,
        sqlite_where=sa.text(
            "key IS NOT NULL AND (status = 'COMMITTED' OR (status = 'WRITING' AND claims_key = 1))"
        ),
    )


def _indexes_for_housekeeping() -> None:
    op.create_index(
        "ix_objects_deleted",
        "objects",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("status = 'DELETED'"),
    )
    op.create_index(
        "ix_objects_deleting",
        "objects",
        ["content_hash", "storage_class"],
        unique=False,
        sqlite_where=sa.text("status = 'DELETING'"),
    )
    op.create_index(
        "ix_objects_lease",
        "objects",
        ["lease_expires_at"],
        unique=False,
        sqlite_where=sa.text("status = 'WRITING'"),
    )
