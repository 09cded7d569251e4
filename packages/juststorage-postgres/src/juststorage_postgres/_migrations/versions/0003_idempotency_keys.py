"""Idempotency keys, and the first answers to the requests that they came with.

Revision ID: 0003
"""

from __future__ import annotations

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE idempotency_keys (
            tenant_id TEXT COLLATE "C" NOT NULL,
            key TEXT COLLATE "C" NOT NULL,
            request TEXT COLLATE "C" NOT NULL,
            upload_id UUID NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            answer TEXT COLLATE "C",
            CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key)
        )
        """
    )
    op.execute("CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at)")


def downgrade() -> None:
    """Drop it: every request is a first one again."""
    op.drop_table("idempotency_keys")
