"""The API key repository."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from juststorage.domain import ApiKey, Scope
from juststorage.errors import InvalidState, NotFound
from juststorage.ports import ApiKeyChange, ApiKeyRepository, Clock

__all__ = ["MemoryApiKeyRepository"]


class MemoryApiKeyRepository(ApiKeyRepository):
    """See `ApiKeyRepository`."""

    def __init__(self, clock: Clock, *, became: Callable[[ApiKey | None, ApiKey], None]) -> None:
        self._clock = clock
        self._became = became
        self._keys: dict[str, ApiKey] = {}
        self._ids: dict[bytes, str] = {}

    async def create(self, api_key: ApiKey) -> ApiKey:
        await checkpoint()
        if api_key.id in self._keys or api_key.hashed in self._ids:
            raise InvalidState("there is such an API key already")
        created = replace(api_key, created_at=self._clock.now())
        self._keys[created.id] = created
        self._ids[created.hashed] = created.id
        self._became(None, created)
        return created

    def put_back(self, api_key: ApiKey) -> None:
        """Insert a key as it was, unless it is there; another one of its hash gives way."""
        if api_key.id in self._keys:
            return
        if api_key.hashed in self._ids:
            del self._keys[self._ids[api_key.hashed]]
        self._keys[api_key.id] = api_key
        self._ids[api_key.hashed] = api_key.id

    def all(self) -> list[ApiKey]:
        """Every key, by ascending id."""
        return [self._keys[key_id] for key_id in sorted(self._keys)]

    async def find_by_hash(self, hashed: bytes) -> ApiKey | None:
        await checkpoint()
        key_id = self._ids.get(hashed)
        return None if key_id is None else self._keys[key_id]

    async def find(self, key_id: str) -> ApiKey | None:
        await checkpoint()
        return self._keys.get(key_id)

    async def page(self, *, after: str | None, limit: int) -> list[ApiKey]:
        await checkpoint()
        ids = sorted(each for each in self._keys if after is None or each > after)[:limit]
        return [self._keys[key_id] for key_id in ids]

    async def update(self, key_id: str, change: ApiKeyChange) -> ApiKey:
        await checkpoint()
        before = self._keys.get(key_id)
        if before is None:
            raise NotFound("there is no such API key")
        changes = msgspec.structs.asdict(change)
        after = replace(
            before,
            **{name: value for name, value in changes.items() if value is not msgspec.UNSET},
        )
        now = self._clock.now()
        if _governs(before, now) and not _governs(after, now):
            others = (each for each in self._keys.values() if each.id != key_id)
            if not any(_governs(each, now) for each in others):
                raise InvalidState("this is the last active key with the scope admin")
        self._keys[key_id] = after
        self._became(before, after)
        return after

    async def touch(self, key_ids: frozenset[str]) -> None:
        await checkpoint()
        now = self._clock.now()
        for key_id in key_ids & self._keys.keys():
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=now)


def _governs(api_key: ApiKey, now: datetime) -> bool:
    """Whether it is an admin key that opens doors now."""
    alive = api_key.is_active and (api_key.expires_at is None or now < api_key.expires_at)
    return alive and Scope.ADMIN in api_key.scopes
