"""The API key repository."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from juststorage.domain import ApiKey, Scope
from juststorage.errors import InvalidState, NotFound
from juststorage.ports import ApiKeyChange, ApiKeyRepository
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._rows import API_KEY_COLUMNS, api_key_of, names_json
from juststorage_sqlite._times import from_micros, to_micros
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteApiKeyRepository", "api_key_values"]

_SELECT: Final = f"SELECT {API_KEY_COLUMNS} FROM api_keys"


class SqliteApiKeyRepository(ApiKeyRepository):
    """See `ApiKeyRepository`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def create(self, api_key: ApiKey) -> ApiKey:
        return await self._writer.run(
            self._writer.adding(lambda db, now: _create(db, now, api_key))
        )

    async def find_by_hash(self, hashed: bytes) -> ApiKey | None:
        return await self._reader.run(lambda db: _one(db, "hashed = ?", hashed))

    async def find(self, key_id: str) -> ApiKey | None:
        return await self._reader.run(lambda db: _one(db, "id = ?", key_id))

    async def page(self, *, after: str | None, limit: int) -> list[ApiKey]:
        return await self._reader.run(lambda db: _page(db, after, limit))

    async def update(self, key_id: str, change: ApiKeyChange) -> ApiKey:
        return await self._writer.run(lambda db, now: _update(db, now, key_id, change))

    async def touch(self, key_ids: frozenset[str]) -> None:
        await self._writer.run(lambda db, now: _touch(db, now, key_ids))


def _one(db: sqlite3.Connection, where: str, value: Any) -> ApiKey | None:
    row = db.execute(f"{_SELECT} WHERE {where}", (value,)).fetchone()
    return None if row is None else api_key_of(row)


def _page(db: sqlite3.Connection, after: str | None, limit: int) -> list[ApiKey]:
    rows = db.execute(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit))
    return [api_key_of(row) for row in rows]


_INSERT: Final = (
    f"INSERT INTO api_keys ({API_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


def _create(db: sqlite3.Connection, now: int, api_key: ApiKey) -> ApiKey:
    if db.execute(_INSERT, api_key_values(api_key, now)).rowcount == 0:
        raise InvalidState("there is such an API key already")
    return replace(api_key, created_at=from_micros(now))


def api_key_values(api_key: ApiKey, created_at: int) -> tuple[Any, ...]:
    """What `API_KEY_COLUMNS` hold of a key."""
    return (
        api_key.id,
        api_key.name,
        api_key.prefix,
        api_key.hashed,
        None if api_key.tenants is None else names_json(api_key.tenants),
        names_json(api_key.scopes),
        None if api_key.namespaces is None else names_json(api_key.namespaces),
        created_at,
        _micros_or_none(api_key.expires_at),
        _micros_or_none(api_key.last_used_at),
        api_key.is_active,
    )


def _micros_or_none(time: datetime | None) -> int | None:
    return None if time is None else to_micros(time)


_UPDATE: Final = (
    "UPDATE api_keys SET name = ?2, scopes = ?3, expires_at = ?4, is_active = ?5 WHERE id = ?1"
)


def _update(db: sqlite3.Connection, now: int, key_id: str, change: ApiKeyChange) -> ApiKey:
    before = _one(db, "id = ?", key_id)
    if before is None:
        raise NotFound("there is no such API key")
    changes = msgspec.structs.asdict(change)
    after = replace(
        before, **{name: value for name, value in changes.items() if value is not msgspec.UNSET}
    )
    asked_at = from_micros(now)
    if _governs(before, asked_at) and not _governs(after, asked_at):
        others = db.execute(f"{_SELECT} WHERE is_active = 1 AND id <> ?", (key_id,))
        if not any(_governs(api_key_of(row), asked_at) for row in others):
            raise InvalidState("this is the last active key with the scope admin")
    expires_at = _micros_or_none(after.expires_at)
    db.execute(_UPDATE, (key_id, after.name, names_json(after.scopes), expires_at, after.is_active))
    return after


def _governs(api_key: ApiKey, now: datetime) -> bool:
    """Whether it is an admin key that opens doors now."""
    alive = api_key.is_active and (api_key.expires_at is None or now < api_key.expires_at)
    return alive and Scope.ADMIN in api_key.scopes


def _touch(db: sqlite3.Connection, now: int, key_ids: frozenset[str]) -> None:
    db.execute(
        "UPDATE api_keys SET last_used_at = ? WHERE id IN (SELECT value FROM json_each(?))",
        (now, names_json(key_ids)),
    )
