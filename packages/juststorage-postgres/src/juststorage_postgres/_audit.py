"""The audit table, filled by triggers inside the transactions of the changes.

A trigger records only where the transaction says in whose name it acts: `juststorage.actor` is set
by `Pool` where the table is wanted. Everywhere else its WHEN is false, and it costs no more than
that.
"""

from __future__ import annotations

from typing import Final

import msgspec

from juststorage.ports import AuditEvent, AuditRepository
from juststorage_postgres._pool import Pool

__all__ = ["PostgresAuditRepository"]

_PAGE: Final = """
SELECT id, at, action, subject, request_id, tenant_id, namespace, target, details
FROM audit_events WHERE id > $1 ORDER BY id LIMIT $2"""


class PostgresAuditRepository(AuditRepository):
    """See `AuditRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, *, after: int, limit: int) -> list[AuditEvent]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_PAGE, after, limit)
        return [
            AuditEvent(**{**row, "details": msgspec.json.decode(row["details"])}) for row in rows
        ]
