"""The audit table: filled by triggers that only the writer's own connection has.

They run inside the transactions of the changes, whichever statement makes them. Being temporary
they cost nothing where the table is not wanted, and do not stand in the way of other people's
tools, which have no function that says in whose name they act.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from juststorage.ports import AUDIT_NOBODY, AuditEvent, AuditRepository, acting
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._times import from_micros

__all__ = ["EVENT_COLUMNS", "Acting", "SqliteAuditRepository", "event_of"]

ResultT = TypeVar("ResultT")

_INTO: Final = (
    "INSERT INTO audit_events"
    " (at, action, subject, request_id, tenant_id, namespace, target, details)"
)
_BY: Final = "audit_now(), {action}, audit_actor('subject'), audit_actor('request_id')"
_OBJECT: Final = (
    "NEW.tenant_id, NEW.namespace, NEW.id,"
    " json_object('content_hash', NEW.content_hash, 'storage_class', NEW.storage_class)"
)
_KEY: Final = (
    "NULL, NULL, NEW.id, json_object('name', NEW.name, 'scopes', json(NEW.scopes),"
    " 'is_active', json(iif(NEW.is_active, 'true', 'false')))"
)
_BECAME: Final = (
    "CASE WHEN OLD.status <> 'COMMITTED' THEN 'object.created'"
    " WHEN NEW.status <> 'COMMITTED' THEN 'object.deleted' ELSE 'object.changed' END"
)
_KEY_BECAME: Final = (
    "iif(OLD.is_active AND NOT NEW.is_active, 'api_key.revoked', 'api_key.changed')"
)
_TRIGGERS: Final = (
    (
        "audit_object_insert",
        "INSERT ON main.objects",
        "NEW.status = 'COMMITTED'",
        "'object.created'",
        _OBJECT,
    ),
    (
        "audit_object_update",
        "UPDATE ON main.objects",
        "CASE WHEN OLD.status = 'COMMITTED' AND NEW.status = 'COMMITTED'"
        " THEN OLD.key IS NOT NEW.key OR OLD.content_type <> NEW.content_type"
        " OR OLD.metadata <> NEW.metadata OR OLD.storage_class <> NEW.storage_class"
        " ELSE OLD.status = 'COMMITTED' OR NEW.status = 'COMMITTED' END",
        _BECAME,
        _OBJECT,
    ),
    ("audit_key_insert", "INSERT ON main.api_keys", "1", "'api_key.created'", _KEY),
    (
        "audit_key_update",
        "UPDATE ON main.api_keys",
        "OLD.name <> NEW.name OR OLD.scopes <> NEW.scopes OR OLD.is_active <> NEW.is_active"
        " OR OLD.expires_at IS NOT NEW.expires_at",
        _KEY_BECAME,
        _KEY,
    ),
)
EVENT_COLUMNS: Final = "id, at, action, subject, request_id, tenant_id, namespace, target, details"
_PAGE: Final = f"SELECT {EVENT_COLUMNS} FROM audit_events WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608


class Acting:
    """In whose name the writer works at this moment.

    Args:
        now: The time for `at`, in microseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._actor = AUDIT_NOBODY

    def bound(
        self, work: Callable[[sqlite3.Connection, int], ResultT]
    ) -> Callable[[sqlite3.Connection, int], ResultT]:
        """Work that is done in the name of whoever is acting here and now."""
        actor = acting.get()

        def as_actor(db: sqlite3.Connection, now: int) -> ResultT:
            self._actor = actor
            try:
                return work(db, now)
            finally:
                self._actor = AUDIT_NOBODY

        return as_actor

    def install(self, connection: sqlite3.Connection) -> None:
        """Record what is changed through this connection from now on."""
        connection.create_function("audit_now", 0, self._now)
        connection.create_function("audit_actor", 1, self._said)
        for name, event, when, action, values in _TRIGGERS:
            connection.execute(
                f"CREATE TEMP TRIGGER {name} AFTER {event} WHEN {when}"
                f" BEGIN {_INTO} VALUES ({_BY.format(action=action)}, {values}); END"
            )

    def _said(self, name: str) -> str | None:
        return self._actor.subject if name == "subject" else self._actor.request_id


class SqliteAuditRepository(AuditRepository):
    """See `AuditRepository`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, *, after: int, limit: int) -> list[AuditEvent]:
        return await self._reader.run(lambda db: _page(db, after, limit))


def _page(db: sqlite3.Connection, after: int, limit: int) -> list[AuditEvent]:
    return [event_of(row) for row in db.execute(_PAGE, (after, limit))]


def event_of(row: tuple[Any, ...]) -> AuditEvent:
    """An event from `EVENT_COLUMNS`."""
    event_id, at, action, subject, request_id, tenant_id, namespace, target, details = row
    return AuditEvent(
        id=event_id,
        at=from_micros(at),
        action=action,
        subject=subject,
        request_id=request_id,
        tenant_id=tenant_id,
        namespace=namespace,
        target=target,
        details=msgspec.json.decode(details),
    )
