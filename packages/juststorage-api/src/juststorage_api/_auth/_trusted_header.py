"""The authenticator `trusted_header`: a proxy in front has done it, and says who is calling.

Whoever can reach the service from a trusted network can be anyone. So there is no default network,
a field from anybody else is as if it were not there, and the proxy must take the fields out of what
it forwards, which only it can do.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from juststorage.domain import NamespacePattern, Principal, Scope, TenantId
from juststorage.errors import Invalid, InvalidName, Misconfigured, Unauthenticated
from juststorage.plugins import AuthenticatorBackend, OpenContext
from juststorage.ports import Authenticator, Credentials

__all__ = ["TRUSTED_HEADER", "TrustedHeaderOptions"]

_SUBJECT: Final = re.compile(r"[\x20-\x7e]{1,256}")
_SCOPES: Final = frozenset(map(str, Scope))
_ENTRIES_MAX: Final = 256
_Field = Annotated[str, Meta(pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]


class TrustedHeaderOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth.trusted_header]`: a service mesh says who calls. Off unless the chain names it."""

    peers: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Networks of the proxies, such as 10.1.0.0/16: the connection must come"
            " from one; what a header says about addresses is not looked at",
        ),
    ]
    subject_header: Annotated[
        _Field, Meta(description="Who it is; without it this authenticator has no opinion")
    ] = "X-Auth-Subject"
    tenants_header: Annotated[
        _Field, Meta(description="Its tenants, with commas between them; `*` for all")
    ] = "X-Auth-Tenants"
    scopes_header: Annotated[
        _Field, Meta(description="Its scopes, with spaces or commas between them")
    ] = "X-Auth-Scopes"
    namespaces_header: Annotated[
        _Field | None,
        Meta(
            description="Its namespaces or prefixes; a request without this field has none then."
            " Unset: callers are not confined"
        ),
    ] = None


class TrustedHeaderAuthenticator(Authenticator):
    """Recognizes header fields of trusted peers, and nobody else's."""

    def __init__(
        self, options: TrustedHeaderOptions, networks: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        self._options = options
        self._networks = tuple(networks)
        self._subject_field = options.subject_header.lower().encode()
        self._is_trusted = lru_cache(maxsize=1024)(self._is_peer)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        field = self._subject_field
        if all(name != field for name, _ in credentials.raw_headers):
            return None
        if credentials.peer is None or not self._is_trusted(credentials.peer):
            return None
        if credentials.scheme is not None or credentials.api_key is not None:
            raise Invalid("send one credential, not two")
        return self._principal(credentials)

    def _principal(self, credentials: Credentials) -> Principal:
        options = self._options
        subject = _single(credentials, options.subject_header)
        if subject is None or not _SUBJECT.fullmatch(subject):
            raise Unauthenticated("the trusted header fields are not valid")
        tenants = _words(credentials, options.tenants_header)
        scopes = _words(credentials, options.scopes_header)
        try:
            return Principal(
                subject=f"header:{subject}",
                tenants=None if tenants == ["*"] else frozenset(map(TenantId, tenants)),
                scopes=frozenset(Scope(word) for word in scopes if word in _SCOPES),
                namespaces=self._namespaces(credentials),
            )
        except InvalidName:
            raise Unauthenticated("the trusted header fields are not valid") from None

    def _namespaces(self, credentials: Credentials) -> frozenset[NamespacePattern] | None:
        name = self._options.namespaces_header
        if name is None:
            return None
        return frozenset(map(NamespacePattern, _words(credentials, name)))

    def _is_peer(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _single(credentials: Credentials, name: str) -> str | None:
    """The field's only value. Twice is what a proxy does that adds to what a client has sent."""
    values = credentials.header(name)
    if len(values) > 1:
        raise Unauthenticated("the trusted header fields are not valid")
    return values[0].strip() if values else None


def _words(credentials: Credentials, name: str) -> list[str]:
    text = _single(credentials, name)
    words = [] if text is None else text.replace(",", " ").split()
    if len(words) > _ENTRIES_MAX:
        raise Unauthenticated("the trusted header fields are not valid")
    return words


def _networks(peers: Iterable[str], instance: str) -> list[IPv4Network | IPv6Network]:
    found = []
    for peer in peers:
        try:
            network = ip_network(peer)
        except ValueError as error:
            raise Misconfigured(f"{instance}.peers: {error}") from None
        if network.prefixlen == 0:
            raise Misconfigured(f"{instance}.peers: {peer} would let everybody be anyone")
        found.append(network)
    return found


@asynccontextmanager
async def _open(
    options: TrustedHeaderOptions, context: OpenContext
) -> AsyncIterator[Authenticator]:
    yield TrustedHeaderAuthenticator(options, _networks(options.peers, context.instance))


TRUSTED_HEADER = AuthenticatorBackend(
    name="trusted_header",
    summary="Callers that a trusted proxy names in header fields",
    options=TrustedHeaderOptions,
    open=_open,
)
