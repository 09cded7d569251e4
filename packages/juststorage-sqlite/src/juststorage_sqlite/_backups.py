"""The backup repository: holds, snapshots, and records on their way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from juststorage.errors import InvalidState
from juststorage.ports import BackupRepository, Clock, Hold, Record, Snapshot
from juststorage_sqlite._connection import Connecting
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._records import put_back
from juststorage_sqlite._snapshot import open_snapshot
from juststorage_sqlite._times import from_micros, micros
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteBackupRepository"]


class SqliteBackupRepository(BackupRepository):
    """See `BackupRepository`."""

    def __init__(self, clock: Clock, writer: Writer, reader: Reader, how: Connecting) -> None:
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._how = how

    async def hold(self, name: str, *, hold_s: float, back_s: float) -> Hold:
        return await self._writer.run(lambda db, now: _hold(db, now, name, hold_s, back_s))

    async def renew(self, name: str, *, hold_s: float) -> bool:
        return await self._writer.run(
            lambda db, now: db.execute(_RENEW, (name, now, now + micros(hold_s))).rowcount == 1
        )

    async def release(self, name: str) -> None:
        await self._writer.run(lambda db, now: _end(db, name))

    async def holds(self) -> list[Hold]:
        now = self._clock.now()
        return await self._reader.run(lambda db: _running(db, now))

    async def snapshot(self) -> Snapshot:
        return await open_snapshot(self._how, self._clock)

    async def begin_restore(self, name: str) -> bool:
        return await self._writer.run(lambda db, now: _begin(db, now, name))

    async def restore(self, records: Sequence[Record]) -> None:
        await self._writer.run_alone(
            self._writer.adding(lambda db, now: put_back(db, now, records))
        )

    async def end_restore(self, name: str) -> None:
        await self._writer.run(lambda db, now: _end(db, name))


_HOLD: Final = "INSERT OR REPLACE INTO holds (name, since, expires_at) VALUES (?, ?, ?)"
_RENEW: Final = "UPDATE holds SET expires_at = ?3 WHERE name = ?1 AND expires_at > ?2"
_ENDLESS: Final = "SELECT name FROM holds WHERE expires_at IS NULL"


def _hold(db: sqlite3.Connection, now: int, name: str, hold_s: float, back_s: float) -> Hold:
    # Transactions come one after another here, so this one sees every deletion that has a time.
    since, expires_at = now - micros(back_s), now + micros(hold_s)
    db.execute(_HOLD, (name, since, expires_at))
    return Hold(name=name, since=from_micros(since), expires_at=from_micros(expires_at))


def _running(db: sqlite3.Connection, now: datetime) -> list[Hold]:
    holds = [
        Hold(name=name, since=from_micros(since), expires_at=from_micros(expires_at))
        for name, since, expires_at in db.execute("SELECT * FROM holds ORDER BY name")
    ]
    return [hold for hold in holds if hold.expires_at is None or now < hold.expires_at]


def _begin(db: sqlite3.Connection, now: int, name: str) -> bool:
    begun = {each for (each,) in db.execute(_ENDLESS)}
    if name in begun:
        return True
    if begun:
        raise InvalidState(f"another restore has begun and not ended: {min(begun)}")
    if db.execute("SELECT 1 FROM objects LIMIT 1").fetchone() is not None:
        raise InvalidState(
            "there are objects here already: a restore has ended here, or none was begun"
        )
    db.execute(_HOLD, (name, now, None))
    return False


def _end(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM holds WHERE name = ?", (name,))
