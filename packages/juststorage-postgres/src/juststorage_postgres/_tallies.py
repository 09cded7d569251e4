"""The tally repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from juststorage.ports import TallyRepository
from juststorage_postgres._pool import Connection, Pool

__all__ = ["PostgresTallyRepository"]

_KEPT_S: Final = 86_400
# In the order of names: two processes that add to the same counters wait for each other instead of
# meeting half-way.
_ADD: Final = """
INSERT INTO tallies AS t (window_start, name, amount)
SELECT $1::bigint, a.name, a.amount FROM unnest($2::text[], $3::bigint[]) AS a (name, amount)
ORDER BY a.name
ON CONFLICT (window_start, name) DO UPDATE SET amount = t.amount + excluded.amount
RETURNING t.name, t.amount"""
_FORGET: Final = "DELETE FROM tallies WHERE window_start < $1"


class PostgresTallyRepository(TallyRepository):
    """See `TallyRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._forgotten = 0

    async def add(self, window: int, amounts: Mapping[str, int]) -> dict[str, int]:
        async def run(connection: Connection) -> dict[str, int]:
            if window > self._forgotten:
                await connection.execute(_FORGET, window - _KEPT_S)
            rows = await connection.fetch(_ADD, window, list(amounts), list(amounts.values()))
            return {row["name"]: row["amount"] for row in rows}

        sums = await self._pool.attempt(run)
        self._forgotten = max(self._forgotten, window)
        return sums
