"""A store of API keys that counts what it is asked and can be made to wait or to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from juststorage.domain import ApiKey, ApiKeySecret, Principal
from juststorage.errors import JustStorageError, Unauthenticated
from juststorage.plugins import NoOptions
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.ports import ApiKeyChange, ApiKeyRepository, Authenticator, Credentials
from juststorage.testing import FakeClock, make_api_key, open_backend
from juststorage_api._auth import API_KEY, ApiKeyOptions


class WatchedKeys(ApiKeyRepository):
    """The in-memory repository, watched."""

    def __init__(self, inner: ApiKeyRepository) -> None:
        self.inner = inner
        self.lookups = 0
        self.touches: list[frozenset[str]] = []
        self.failure: JustStorageError | None = None
        self.asked = anyio.Event()
        self.gate = anyio.Event()
        self.gate.set()

    def close_gate(self) -> None:
        """Let look-ups wait until `gate` is set."""
        self.gate = anyio.Event()
        self.asked = anyio.Event()

    async def create(self, api_key: ApiKey) -> ApiKey:
        return await self.inner.create(api_key)

    async def find_by_hash(self, hashed: bytes) -> ApiKey | None:
        self.lookups += 1
        self.asked.set()
        found = await self.inner.find_by_hash(hashed)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return found

    async def find(self, key_id: str) -> ApiKey | None:
        return await self.inner.find(key_id)

    async def page(self, *, after: str | None, limit: int) -> list[ApiKey]:
        return await self.inner.page(after=after, limit=limit)

    async def update(self, key_id: str, change: ApiKeyChange) -> ApiKey:
        return await self.inner.update(key_id, change)

    async def touch(self, key_ids: frozenset[str]) -> None:
        if self.failure is not None:
            raise self.failure
        self.touches.append(key_ids)
        await self.inner.touch(key_ids)


class Service:
    """An authenticator over watched keys, on a clock that the test moves."""

    def __init__(self, keys: WatchedKeys, authenticator: Authenticator) -> None:
        self.keys = keys
        self.authenticator = authenticator

    async def ask(self, key: str) -> Principal | None:
        """Present `Authorization: ApiKey <key>`."""
        return await self.authenticator.authenticate(Credentials(scheme="apikey", token=key))

    async def refusal(self, key: str) -> str:
        """Present a key that must be refused; what the refusal says."""
        with pytest.raises(Unauthenticated) as caught:
            await self.ask(key)
        return f"{caught.value} {caught.value.fields} {caught.value.__cause__}"

    async def add(self, **properties: Any) -> tuple[str, ApiKey]:
        """A new key, and its row."""
        secret = ApiKeySecret.new()
        row = await self.keys.create(make_api_key(secret=secret, **properties))
        return secret.text, row


class Opener:
    """Opens authenticators, over one store each unless they are given one."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    @asynccontextmanager
    async def __call__(
        self, *, keys: WatchedKeys | None = None, **options: Any
    ) -> AsyncIterator[Service]:
        async with open_backend(MEMORY_METADATA, NoOptions(), clock=self.clock) as metadata:
            watched = keys or WatchedKeys(metadata.api_keys)
            metadata.api_keys = watched
            async with open_backend(
                API_KEY, ApiKeyOptions(**options), clock=self.clock, metadata=metadata
            ) as authenticator:
                yield Service(watched, authenticator)


@pytest.fixture
def open_service(fake_clock: FakeClock) -> Opener:
    """How a test opens an authenticator with options of its own."""
    return Opener(fake_clock)


@pytest.fixture
async def service(open_service: Opener) -> AsyncIterator[Service]:
    """An authenticator with default options."""
    async with open_service() as opened:
        yield opened
