"""The contract for authenticators, on a small one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from juststorage.domain import ApiKeySecret, Principal
from juststorage.errors import Invalid, Unauthenticated
from juststorage.plugins import AuthenticatorBackend, NoOptions, OpenContext
from juststorage.ports import Authenticator, Credentials, MetadataStore
from juststorage.testing import AuthenticatorContract, make_api_key

pytest_plugins = ["juststorage.testing.fixtures"]


class KeyHeader(Authenticator):
    """Knows the X-API-Key header."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if credentials.api_key is None:
            return None
        try:
            secret = ApiKeySecret.parse(credentials.api_key)
        except Invalid:
            raise Unauthenticated("this is no API key") from None
        found = await self._metadata.api_keys.find_by_hash(secret.hashed)
        if found is None:
            raise Unauthenticated("this API key is unknown")
        return found.principal


@asynccontextmanager
async def _open(options: NoOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
    assert context.metadata is not None
    yield KeyHeader(context.metadata)


class TestKeyHeader(AuthenticatorContract):
    backend = AuthenticatorBackend(name="header", summary="x", options=NoOptions, open=_open)

    @pytest.fixture
    async def accepted(self, metadata: MetadataStore) -> Sequence[Credentials]:
        """Two keys that exist."""
        secrets = [ApiKeySecret.new() for _ in range(2)]
        for secret in secrets:
            await metadata.api_keys.create(make_api_key(secret=secret))
        return [Credentials(api_key=secret.text) for secret in secrets]

    @pytest.fixture
    def refused(self) -> Sequence[Credentials]:
        """One that does not exist, and no key at all."""
        return [Credentials(api_key=ApiKeySecret.new().text), Credentials(api_key="short")]
