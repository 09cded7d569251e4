"""The first schema: objects, blobs, API keys, secrets.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

# Written out, not taken from the tables: they go on changing, this does not.
_STATEMENTS: Final = (
    """
    CREATE TABLE api_keys (
        id TEXT COLLATE "C" NOT NULL,
        name TEXT COLLATE "C" NOT NULL,
        prefix TEXT COLLATE "C" NOT NULL,
        hashed BYTEA NOT NULL,
        tenants TEXT[],
        scopes TEXT[] NOT NULL,
        namespaces TEXT[],
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE,
        last_used_at TIMESTAMP WITH TIME ZONE,
        is_active BOOLEAN NOT NULL,
        CONSTRAINT api_keys_pkey PRIMARY KEY (id),
        CONSTRAINT api_keys_hashed_key UNIQUE (hashed)
    )
    """,
    """
    CREATE TABLE blobs (
        content_hash TEXT COLLATE "C" NOT NULL,
        storage_class TEXT COLLATE "C" NOT NULL,
        size_bytes BIGINT NOT NULL,
        ref_count BIGINT NOT NULL,
        locator TEXT COLLATE "C",
        stored_at TIMESTAMP WITH TIME ZONE,
        zero_since TIMESTAMP WITH TIME ZONE,
        claimed_until TIMESTAMP WITH TIME ZONE,
        first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
        last_used_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT blobs_pkey PRIMARY KEY (content_hash, storage_class),
        CONSTRAINT blobs_count_check CHECK (ref_count >= 0),
        CONSTRAINT blobs_size_check CHECK (size_bytes >= 0),
        CONSTRAINT blobs_storage_class_check CHECK (storage_class IN ('hot', 'cold')),
        CONSTRAINT blobs_stored_check CHECK (stored_at IS NULL OR locator IS NOT NULL)
    )
    """,
    """
    CREATE INDEX blobs_garbage_idx
        ON blobs (zero_since)
        WHERE zero_since IS NOT NULL
    """,
    """
    CREATE INDEX blobs_locator_idx ON blobs (locator)
    """,
    """
    CREATE TABLE secrets (
        name TEXT COLLATE "C" NOT NULL,
        value BYTEA NOT NULL,
        CONSTRAINT secrets_pkey PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE objects (
        id UUID NOT NULL,
        namespace TEXT COLLATE "C" NOT NULL,
        tenant_id TEXT COLLATE "C" NOT NULL,
        key TEXT COLLATE "C",
        status TEXT COLLATE "C" NOT NULL,
        storage_class TEXT COLLATE "C" NOT NULL,
        content_hash TEXT COLLATE "C",
        size_bytes BIGINT,
        content_type TEXT COLLATE "C" NOT NULL,
        metadata JSON NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        blob_hash TEXT COLLATE "C",
        claims_key BOOLEAN NOT NULL,
        lease_expires_at TIMESTAMP WITH TIME ZONE,
        lease_epoch BIGINT NOT NULL,
        CONSTRAINT objects_pkey PRIMARY KEY (id),
        CONSTRAINT objects_blobs_fkey FOREIGN KEY (blob_hash, storage_class)
            REFERENCES blobs (content_hash, storage_class) ON DELETE RESTRICT,
        CONSTRAINT objects_status_check CHECK
            (status IN ('WRITING', 'COMMITTED', 'DELETING', 'DELETED')),
        CONSTRAINT objects_storage_class_check CHECK (storage_class IN ('hot', 'cold')),
        CONSTRAINT objects_blob_hash_check CHECK (blob_hash IS NULL OR blob_hash = content_hash),
        CONSTRAINT objects_state_check CHECK (
            CASE status
                WHEN 'COMMITTED' THEN blob_hash IS NOT NULL AND size_bytes IS NOT NULL
                WHEN 'WRITING' THEN lease_expires_at IS NOT NULL
                ELSE blob_hash IS NULL END)
    )
    """,
    """
    CREATE INDEX objects_blob_idx
        ON objects (blob_hash, storage_class)
        WHERE blob_hash IS NOT NULL
    """,
    """
    CREATE INDEX objects_created_idx
        ON objects (tenant_id, namespace, created_at, id)
        WHERE status = 'COMMITTED'
    """,
    """
    CREATE INDEX objects_deleting_idx
        ON objects (content_hash, storage_class)
        WHERE status = 'DELETING'
    """,
    """
    CREATE UNIQUE INDEX objects_key_holder_idx
        ON objects (tenant_id, namespace, key)
        WHERE (status = 'COMMITTED' OR (status = 'WRITING' AND claims_key))
    """,
    """
    CREATE INDEX objects_keyless_idx
        ON objects (tenant_id, namespace, id)
        WHERE status = 'COMMITTED' AND key IS NULL
    """,
    """
    CREATE INDEX objects_lease_idx
        ON objects (lease_expires_at)
        WHERE status = 'WRITING'
    """,
    """
    CREATE INDEX objects_newest_idx
        ON objects (tenant_id, created_at, id)
        WHERE status = 'COMMITTED'
    """,
    """
    CREATE INDEX objects_size_idx
        ON objects (tenant_id, namespace, size_bytes, id)
        WHERE status = 'COMMITTED'
    """,
    """
    CREATE INDEX objects_tombstone_idx
        ON objects (updated_at)
        WHERE status = 'DELETED'
    """,
    """
    CREATE INDEX objects_updated_idx
        ON objects (tenant_id, namespace, updated_at, id)
        WHERE status = 'COMMITTED'
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with everything in them."""
    for table in ("objects", "blobs", "api_keys", "secrets"):
        op.drop_table(table)
