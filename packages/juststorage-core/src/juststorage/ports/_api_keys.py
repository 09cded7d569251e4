"""ApiKeyRepository: credentials of services."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

import msgspec

from juststorage.domain import ApiKey, Scope

__all__ = ["ApiKeyChange", "ApiKeyRepository"]


class ApiKeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a key; UNSET means unchanged."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    scopes: frozenset[Scope] | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | None | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class ApiKeyRepository(ABC):
    """API keys. See `MetadataStore` for what holds for every method."""

    @abstractmethod
    async def create(self, api_key: ApiKey) -> ApiKey:
        """Insert a key; `created_at` is replaced by the store's clock.

        Raises:
            InvalidState: The id or the hash exists already.
        """

    @abstractmethod
    async def find_by_hash(self, hashed: bytes) -> ApiKey | None:
        """The key with this SHA-256, active or not, or None. On the path of every request."""

    @abstractmethod
    async def find(self, key_id: str) -> ApiKey | None:
        """The key with this id, or None."""

    @abstractmethod
    async def page(self, *, after: str | None, limit: int) -> list[ApiKey]:
        """Keys by ascending id behind `after`."""

    @abstractmethod
    async def update(self, key_id: str, change: ApiKeyChange) -> ApiKey:
        """Change a key.

        Raises:
            NotFound: No such key.
            InvalidState: It would leave no active key with the scope `admin`.
        """

    @abstractmethod
    async def touch(self, key_ids: frozenset[str]) -> None:
        """Set last_used_at of these keys to now. Called at most once a minute for each key."""
