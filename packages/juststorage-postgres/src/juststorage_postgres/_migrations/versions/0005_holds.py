"""Holds: what keeps collectors from what a backup needs.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE holds (
            name TEXT COLLATE "C" NOT NULL,
            since TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE,
            CONSTRAINT holds_pkey PRIMARY KEY (name)
        )
        """
    )


def downgrade() -> None:
    """Drop it: a backup that runs meanwhile loses what it has not copied yet to collectors."""
    op.drop_table("holds")
