"""Switches: what every process of the store is to follow, such as read-only mode.

Revision ID: 0006
"""

from __future__ import annotations

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE switches (
            name TEXT COLLATE "C" NOT NULL,
            is_on BOOLEAN NOT NULL,
            turns BIGINT NOT NULL,
            CONSTRAINT switches_pkey PRIMARY KEY (name)
        )
        """
    )


def downgrade() -> None:
    """Drop it: read-only mode then ends with the instances that are in it."""
    op.drop_table("switches")
