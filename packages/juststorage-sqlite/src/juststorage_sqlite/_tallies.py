"""The tally repository."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from juststorage.ports import TallyRepository
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteTallyRepository"]

_KEPT_S: Final = 86_400
_ADD: Final = (
    "INSERT INTO tallies (window_start, name, amount) VALUES (?, ?, ?)"
    " ON CONFLICT (window_start, name) DO UPDATE SET amount = amount + excluded.amount"
    " RETURNING amount"
)


class SqliteTallyRepository(TallyRepository):
    """See `TallyRepository`. For the workers of one machine."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def add(self, window: int, amounts: Mapping[str, int]) -> dict[str, int]:
        return await self._writer.run(lambda db, now: _add(db, window, amounts))


def _add(db: sqlite3.Connection, window: int, amounts: Mapping[str, int]) -> dict[str, int]:
    db.execute("DELETE FROM tallies WHERE window_start < ?", (window - _KEPT_S,))
    return {
        name: db.execute(_ADD, (window, name, amount)).fetchall()[0][0]
        for name, amount in amounts.items()
    }
