"""The authenticator `anonymous`: callers without a credential read what is public."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from msgspec import Meta

from juststorage.domain import NamespacePattern, Principal, Scope, TenantId
from juststorage.errors import InvalidName, Misconfigured
from juststorage.plugins import AuthenticatorBackend, OpenContext
from juststorage.ports import Authenticator, Credentials
from juststorage_api._access import ANONYMOUS as ANONYMOUS_SUBJECT

__all__ = ["ANONYMOUS", "AnonymousOptions"]

_Name = Annotated[str, Meta(min_length=1, max_length=129)]


class AnonymousOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth.anonymous]`: what everybody may read. Off unless the chain names it."""

    tenants: Annotated[
        tuple[_Name, ...], Meta(min_length=1, description="Whose objects; there is no `all`")
    ]
    namespaces: Annotated[
        tuple[_Name, ...],
        Meta(min_length=1, description="The public namespaces, or prefixes of them: `public-*`"),
    ]


class AnonymousAuthenticator(Authenticator):
    """Recognizes the absence of a credential. One that is there and not valid stays refused."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if credentials.scheme is not None or credentials.api_key is not None:
            return None
        return self._principal


@asynccontextmanager
async def _open(options: AnonymousOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
    try:
        principal = Principal(
            subject=ANONYMOUS_SUBJECT,
            tenants=frozenset(map(TenantId, options.tenants)),
            scopes=frozenset({Scope.OBJECTS_READ}),
            namespaces=frozenset(map(NamespacePattern, options.namespaces)),
        )
    except InvalidName as error:
        raise Misconfigured(f"{context.instance}: {error.detail}") from None
    yield AnonymousAuthenticator(principal)


ANONYMOUS = AuthenticatorBackend(
    name="anonymous",
    summary="Nobody in particular, who may read public namespaces",
    options=AnonymousOptions,
    open=_open,
)
