"""The authenticator and the plugin through the kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from juststorage.domain import ApiKeySecret
from juststorage.ports import Credentials, MetadataStore
from juststorage.testing import AuthenticatorContract, PluginContract, make_api_key
from juststorage_api._auth import API_KEY

pytest_plugins = ["juststorage.testing.fixtures"]


def both_ways(secret: ApiKeySecret) -> list[Credentials]:
    """A key in either header."""
    return [Credentials(scheme="apikey", token=secret.text), Credentials(api_key=secret.text)]


class TestApiKey(AuthenticatorContract):
    backend = API_KEY

    @pytest.fixture
    async def accepted(self, metadata: MetadataStore) -> Sequence[Credentials]:
        """A key that was issued."""
        secret = ApiKeySecret.new()
        await metadata.api_keys.create(make_api_key(secret=secret))
        return both_ways(secret)

    @pytest.fixture
    async def refused(self, metadata: MetadataStore) -> Sequence[Credentials]:
        """Keys that were never issued, were revoked, or are over; and what is no key."""
        revoked, over = ApiKeySecret.new(), ApiKeySecret.new()
        await metadata.api_keys.create(make_api_key(secret=revoked, is_active=False))
        await metadata.api_keys.create(
            make_api_key(secret=over, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        )
        unfit: list[Any] = [ApiKeySecret.new(), revoked, over, ApiKeySecret("short")]
        return [credentials for secret in unfit for credentials in both_ways(secret)]


class TestPlugin(PluginContract):
    plugin = "api"

    @pytest.fixture
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """What has no default."""
        return {
            "authenticator:anonymous": {"tenants": ["acme"], "namespaces": ["public-*"]},
            "authenticator:jwt": {
                "issuer": "https://idp.example",
                "audience": ["juststorage"],
                "algorithms": ["HS256"],
                "secret": "a shared secret of more than 32 bytes",
            },
            "authenticator:trusted_header": {"peers": ["10.0.0.0/8"]},
        }

    heavy = PluginContract.heavy | {"cryptography", "httpx2", "joserfc", "uvloop"}
