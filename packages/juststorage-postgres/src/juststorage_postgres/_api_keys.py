"""The API key repository."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from juststorage.domain import ApiKey, Scope
from juststorage.errors import InvalidState, NotFound
from juststorage.ports import ApiKeyChange, ApiKeyRepository
from juststorage_postgres._fast import FastLane
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._rows import api_key_of
from juststorage_postgres._schema import api_keys, columns

__all__ = ["PostgresApiKeyRepository", "texts"]

_COLUMNS: Final = columns(api_keys)

_CREATE: Final = f"""
INSERT INTO api_keys (
    id, name, prefix, hashed, tenants, scopes, namespaces,
    created_at, expires_at, last_used_at, is_active
) VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"""  # noqa: S608

_FIND: Final = f"SELECT {_COLUMNS} FROM api_keys WHERE id = $1"  # noqa: S608

_PAGE: Final = f"""
SELECT {_COLUMNS} FROM api_keys WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2"""  # noqa: S608

# The key, and every key that could be the last one with the scope `admin`: in one order, so that
# two callers who each take away one of the last two wait for each other.
_LOCK: Final = f"""
SELECT {_COLUMNS}, clock_timestamp() AS now FROM api_keys
WHERE id = $1 OR 'admin' = ANY (scopes)
ORDER BY id FOR UPDATE"""  # noqa: S608

_UPDATE: Final = f"""
UPDATE api_keys SET name = $2, scopes = $3, expires_at = $4, is_active = $5
WHERE id = $1 RETURNING {_COLUMNS}"""  # noqa: S608

_TOUCH: Final = """
UPDATE api_keys SET last_used_at = clock_timestamp()
WHERE id IN (SELECT id FROM api_keys WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE)"""


class PostgresApiKeyRepository(ApiKeyRepository):
    """See `ApiKeyRepository`."""

    def __init__(self, pool: Pool, lane: FastLane) -> None:
        self._pool = pool
        self._lane = lane

    async def create(self, api_key: ApiKey) -> ApiKey:
        async def run(connection: Connection) -> ApiKey:
            row = await connection.fetchrow(
                _CREATE,
                api_key.id,
                api_key.name,
                api_key.prefix,
                api_key.hashed,
                texts(api_key.tenants),
                texts(api_key.scopes),
                texts(api_key.namespaces),
                api_key.expires_at,
                api_key.last_used_at,
                api_key.is_active,
            )
            if row is None:
                raise InvalidState("there is such an API key already")
            return api_key_of(row)

        return await self._pool.attempt(run, single=True)

    async def find_by_hash(self, hashed: bytes) -> ApiKey | None:
        return await self._lane.find_api_key(hashed)

    async def find(self, key_id: str) -> ApiKey | None:
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_FIND, key_id)
        return None if row is None else api_key_of(row)

    async def page(self, *, after: str | None, limit: int) -> list[ApiKey]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_PAGE, after, limit)
        return [api_key_of(row) for row in rows]

    async def update(self, key_id: str, change: ApiKeyChange) -> ApiKey:
        async def run(connection: Connection) -> ApiKey:
            rows = await connection.fetch(_LOCK, key_id)
            locked = {row["id"]: api_key_of(row) for row in rows}
            if key_id not in locked:
                raise NotFound("there is no such API key")
            before, now = locked.pop(key_id), rows[0]["now"]
            changes = msgspec.structs.asdict(change)
            after = msgspec.structs.replace(
                before,
                **{name: value for name, value in changes.items() if value is not msgspec.UNSET},
            )
            last = not any(_governs(other, now) for other in locked.values())
            if last and _governs(before, now) and not _governs(after, now):
                raise InvalidState("this is the last active key with the scope admin")
            row = await connection.fetchrow(
                _UPDATE,
                key_id,
                after.name,
                texts(after.scopes),
                after.expires_at,
                after.is_active,
            )
            return api_key_of(row)

        return await self._pool.attempt(run)

    async def touch(self, key_ids: frozenset[str]) -> None:
        async def run(connection: Connection) -> None:
            await connection.execute(_TOUCH, list(key_ids))

        await self._pool.attempt(run, single=True)


def texts(words: Collection[str] | None) -> list[str] | None:
    """Names as a column has them: in order; None means every one."""
    return None if words is None else sorted(words)


def _governs(api_key: ApiKey, now: datetime) -> bool:
    """Whether it is an admin key that opens doors now."""
    alive = api_key.is_active and (api_key.expires_at is None or now < api_key.expires_at)
    return alive and Scope.ADMIN in api_key.scopes
