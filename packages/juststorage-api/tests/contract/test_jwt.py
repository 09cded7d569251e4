"""The authenticator `jwt` through the kit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from juststorage.plugins import Secret
from juststorage.ports import Credentials
from juststorage.testing import AuthenticatorContract
from juststorage_api._auth import JWT, JwtOptions

pytest_plugins = ["juststorage.testing.fixtures"]

SECRET = "a shared secret of more than 32 bytes"


def bearer(**changed: Any) -> Credentials:
    """A token with these claims."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    claims = {"iss": "https://idp", "aud": "js", "sub": "alice", "exp": int(expires.timestamp())}
    text = jwt.encode({"alg": "HS256"}, claims | changed, OctKey.import_key(SECRET))
    return Credentials(scheme="bearer", token=text)


class TestJwt(AuthenticatorContract):
    backend = JWT

    @pytest.fixture
    def options(self) -> JwtOptions:
        """A shared secret."""
        return JwtOptions(
            issuer="https://idp", audience=("js",), algorithms=("HS256",), secret=Secret(SECRET)
        )

    @pytest.fixture
    def accepted(self) -> Sequence[Credentials]:
        """A token for us."""
        return [bearer(), bearer(tenants=["acme"], scope="objects:read")]

    @pytest.fixture
    def refused(self) -> Sequence[Credentials]:
        """Tokens of others, expired ones, and what is no token."""
        return [
            bearer(iss="https://other"),
            bearer(exp=1),
            Credentials(scheme="bearer", token="no-token"),
            Credentials(scheme="bearer", token=""),
        ]
