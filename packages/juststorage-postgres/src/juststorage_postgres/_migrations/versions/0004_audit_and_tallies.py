"""An audit table, filled where it is wanted, and counters that workers share.

Whoever changes an object waits while the triggers are made, which takes no time but that of those
who are changing one: at most `lock_timeout`.

Revision ID: 0004
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

_STATEMENTS: Final = (
    """
    CREATE TABLE tallies (
        window_start BIGINT NOT NULL,
        name TEXT COLLATE "C" NOT NULL,
        amount BIGINT NOT NULL,
        CONSTRAINT tallies_pkey PRIMARY KEY (window_start, name)
    )
    """,
    """
    CREATE TABLE audit_events (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        action TEXT COLLATE "C" NOT NULL,
        subject TEXT COLLATE "C",
        request_id TEXT COLLATE "C",
        tenant_id TEXT COLLATE "C",
        namespace TEXT COLLATE "C",
        target TEXT COLLATE "C" NOT NULL,
        details TEXT COLLATE "C" NOT NULL,
        CONSTRAINT audit_events_pkey PRIMARY KEY (id)
    )
    """,
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only';
END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
    """,
    """
    CREATE FUNCTION audit_object() RETURNS trigger LANGUAGE plpgsql AS $$
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
END $$
    """,
    """
    CREATE FUNCTION audit_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
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
END $$
    """,
    """
    CREATE TRIGGER objects_audit_insert AFTER INSERT ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> '' AND NEW.status = 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.created')
    """,
    """
    CREATE TRIGGER objects_audit_enter AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status <> 'COMMITTED' AND NEW.status = 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.created')
    """,
    """
    CREATE TRIGGER objects_audit_leave AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status = 'COMMITTED' AND NEW.status <> 'COMMITTED')
        EXECUTE FUNCTION audit_object('object.deleted')
    """,
    """
    CREATE TRIGGER objects_audit_change AFTER UPDATE ON objects FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.status = 'COMMITTED' AND NEW.status = 'COMMITTED'
            AND (OLD.key, OLD.content_type, OLD.metadata::text, OLD.storage_class)
                IS DISTINCT FROM
                (NEW.key, NEW.content_type, NEW.metadata::text, NEW.storage_class))
        EXECUTE FUNCTION audit_object('object.changed')
    """,
    """
    CREATE TRIGGER api_keys_audit_insert AFTER INSERT ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> '')
        EXECUTE FUNCTION audit_api_key('api_key.created')
    """,
    """
    CREATE TRIGGER api_keys_audit_revoke AFTER UPDATE ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND OLD.is_active AND NOT NEW.is_active)
        EXECUTE FUNCTION audit_api_key('api_key.revoked')
    """,
    """
    CREATE TRIGGER api_keys_audit_change AFTER UPDATE ON api_keys FOR EACH ROW
        WHEN (current_setting('juststorage.actor', true) <> ''
            AND NOT (OLD.is_active AND NOT NEW.is_active)
            AND (OLD.name, OLD.scopes, OLD.is_active, OLD.expires_at)
                IS DISTINCT FROM (NEW.name, NEW.scopes, NEW.is_active, NEW.expires_at))
        EXECUTE FUNCTION audit_api_key('api_key.changed')
    """,
)
_ON: Final = {
    "objects": ("insert", "enter", "leave", "change"),
    "api_keys": ("insert", "revoke", "change"),
}


def upgrade() -> None:
    """Make both tables, and the triggers that wait to be wanted."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop both: what the audit table has is lost."""
    for table, names in _ON.items():
        for name in names:
            op.execute(f"DROP TRIGGER {table}_audit_{name} ON {table}")
    op.execute("DROP FUNCTION audit_api_key()")
    op.execute("DROP FUNCTION audit_object()")
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION refuse_audit_change()")
    op.drop_table("tallies")
