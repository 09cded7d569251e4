"""Header fields of a trusted proxy: nobody else may be anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from juststorage.domain import NamespacePattern, Principal, Scope
from juststorage.errors import Invalid, Misconfigured, Unauthenticated
from juststorage.ports import Authenticator, Credentials
from juststorage.testing import open_backend
from juststorage_api._auth import TRUSTED_HEADER, TrustedHeaderOptions

GOOD = [("x-auth-subject", "alice"), ("x-auth-tenants", "t1"), ("x-auth-scopes", "objects:read")]


def sent(
    fields: list[tuple[str, str]], *, peer: str | None = "10.1.2.3", **credentials: Any
) -> Credentials:
    """A request with these fields."""
    raw = tuple((name.encode(), value.encode("latin-1")) for name, value in fields)
    return Credentials(raw_headers=raw, peer=peer, **credentials)


@pytest.fixture
async def authenticator() -> AsyncIterator[Authenticator]:
    """Trusts 10.1.0.0/16, one address, and one network of IPv6."""
    options = TrustedHeaderOptions(peers=("10.1.0.0/16", "192.0.2.7", "fd00:1::/32"))
    async with open_backend(TRUSTED_HEADER, options) as opened:
        yield opened


@pytest.mark.parametrize(
    "peer",
    [None, "", "10.2.0.1", "192.0.2.8", "fd00:2::1", "::1", "127.0.0.1", "localhost", "10.1", "x"],
)
async def test_a_peer_that_is_not_trusted(authenticator: Authenticator, peer: str | None) -> None:
    """What it says is not heard, as if it were not there, whatever addresses it names."""
    fields = [*GOOD, ("x-forwarded-for", "10.1.2.3"), ("forwarded", "for=10.1.2.3")]
    assert await authenticator.authenticate(sent(fields, peer=peer)) is None


@pytest.mark.parametrize("extra", [{"scheme": "bearer", "token": "x"}, {"api_key": "x"}])
async def test_a_second_credential(authenticator: Authenticator, extra: dict[str, str]) -> None:
    """Nobody guesses which one was meant."""
    with pytest.raises(Invalid, match="one credential"):
        await authenticator.authenticate(sent(GOOD, **extra))


@pytest.mark.parametrize(
    "fields",
    [
        [*GOOD, ("x-auth-subject", "mallory")],
        [*GOOD, ("x-auth-tenants", "t2")],
        [*GOOD, ("x-auth-scopes", "admin")],
        [("x-auth-subject", "")],
        [("x-auth-subject", "x" * 257)],
        [("x-auth-subject", "a\x01b")],
        [("x-auth-subject", "é")],
        [GOOD[0], ("x-auth-tenants", "a/b")],
        [GOOD[0], ("x-auth-tenants", "*, t1")],
        [GOOD[0], ("x-auth-tenants", ",".join(f"t{n}" for n in range(257)))],
    ],
)
async def test_fields_that_are_not_valid(
    authenticator: Authenticator, fields: list[tuple[str, str]]
) -> None:
    """Twice, empty, or no names: the proxy is set up wrongly, and nobody gets in by that."""
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(sent(fields))


async def test_without_the_field_it_has_no_opinion(authenticator: Authenticator) -> None:
    """The next link of the chain is asked."""
    assert await authenticator.authenticate(sent(GOOD[1:])) is None


@pytest.mark.parametrize(
    "peer", ["10.1.2.3", "10.1.255.255", "192.0.2.7", "fd00:1::7", "::ffff:10.1.2.3"]
)
async def test_a_trusted_peer(authenticator: Authenticator, peer: str) -> None:
    """It says who is calling, for which tenants, to do what; unknown scopes are ignored."""
    fields = [*GOOD[:1], ("x-auth-tenants", "t1, t2"), ("x-auth-scopes", "objects:read email")]
    found = await authenticator.authenticate(sent(fields, peer=peer))
    assert found == Principal(
        subject="header:alice",
        tenants=frozenset({"t1", "t2"}),  # type: ignore[arg-type]
        scopes=frozenset({Scope.OBJECTS_READ}),
    )


async def test_what_is_not_said_is_not_given(authenticator: Authenticator) -> None:
    """Neither tenants nor scopes; all tenants only for a star."""
    found = await authenticator.authenticate(sent(GOOD[:1]))
    assert found is not None and (found.tenants, found.scopes) == (set(), set())
    found = await authenticator.authenticate(sent([GOOD[0], ("x-auth-tenants", "*")]))
    assert found is not None and found.tenants is None


async def test_namespaces_fail_closed() -> None:
    """Where they are asked for, a request that names none has none."""
    options = TrustedHeaderOptions(peers=("10.0.0.0/8",), namespaces_header="X-Auth-Namespaces")
    async with open_backend(TRUSTED_HEADER, options) as opened:
        found = await opened.authenticate(sent(GOOD))
        assert found is not None and found.namespaces == set()
        found = await opened.authenticate(sent([*GOOD, ("x-auth-namespaces", "team-*,docs")]))
        assert found is not None
        assert found.namespaces == {NamespacePattern("team-*"), NamespacePattern("docs")}
        with pytest.raises(Unauthenticated):
            await opened.authenticate(sent([*GOOD, ("x-auth-namespaces", "*")]))


@pytest.mark.parametrize("peer", ["0.0.0.0/0", "::/0", "10.1.2.3/16", "proxy.example", ""])
async def test_networks_that_are_none(peer: str) -> None:
    """The whole internet is no peer, and a name is no network."""
    with pytest.raises(Misconfigured, match="peers"):
        async with open_backend(TRUSTED_HEADER, TrustedHeaderOptions(peers=(peer,))):
            raise AssertionError("it opened")
