"""The descriptor of the authenticator `jwt`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from juststorage.errors import Misconfigured
from juststorage.plugins import AuthenticatorBackend, OpenContext
from juststorage.ports import Authenticator
from juststorage_api._auth._jwt_options import JwtOptions

__all__ = ["JWT"]


@asynccontextmanager
async def _open(options: JwtOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
    try:
        from juststorage_api._auth.jwt import open_jwt
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{context.instance}: the package {error.name} is missing: install juststorage-api[jwt]"
        ) from error
    async with open_jwt(options, context) as authenticator:
        yield authenticator


JWT = AuthenticatorBackend(
    name="jwt",
    summary="Tokens of an OpenID Connect provider or another issuer (RFC 7519)",
    options=JwtOptions,
    open=_open,
)
