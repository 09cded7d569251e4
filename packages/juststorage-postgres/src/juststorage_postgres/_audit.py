"""The audit table, filled by triggers inside the transactions of the changes.

A trigger records only where the transaction says in whose name it acts: `juststorage.actor` is set
by `Pool` where the table is wanted. Everywhere else its WHEN is false, and it costs no more than
that.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from juststorage.ports import AuditEvent, AuditRepository
from juststorage_postgres._pool import Pool

__all__ = ["EVENT_COLUMNS", "PostgresAuditRepository", "event_of"]

EVENT_COLUMNS: Final = "id, at, action, subject, request_id, tenant_id, namespace, target, details"

_PAGE: Final = f"SELECT {EVENT_COLUMNS} FROM audit_events WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608


class PostgresAuditRepository(AuditRepository):
    """See `AuditRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, *, after: int, limit: int) -> list[AuditEvent]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_PAGE, after, limit)
        return [event_of(row) for row in rows]


def event_of(row: Any) -> AuditEvent:
    """An event from `EVENT_COLUMNS`."""
    return AuditEvent(**{**row, "details": msgspec.json.decode(row["details"])})
