"""Principals and API keys."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.domain import ApiKeySecret, Namespace, NamespacePattern, Principal, Scope, TenantId
from juststorage.errors import Invalid, ScopeMissing, TenantForbidden
from juststorage.testing import make_api_key

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def principal(
    *scopes: Scope,
    tenants: frozenset[TenantId] | None = frozenset({ACME}),
    namespaces: frozenset[Namespace] | None = None,
) -> Principal:
    """Somebody."""
    return Principal(
        subject="test", tenants=tenants, scopes=frozenset(scopes), namespaces=namespaces
    )


def test_a_missing_scope_is_named() -> None:
    """The refusal says what is missing."""
    with pytest.raises(ScopeMissing) as refusal:
        principal(Scope.OBJECTS_READ).require_scope(Scope.OBJECTS_WRITE)
    assert refusal.value.fields == {"scope": "objects:write"}


def test_scopes_do_not_imply_each_other() -> None:
    """Only `admin` implies others, and it implies every one."""
    for held in Scope:
        for wanted in Scope:
            if held in (wanted, Scope.ADMIN):
                principal(held).require_scope(wanted)
            else:
                with pytest.raises(ScopeMissing):
                    principal(held).require_scope(wanted)


def test_a_tenant_that_is_not_held() -> None:
    """Naming another tenant is refused, holding none included."""
    for tenants in (frozenset({ACME}), frozenset()):
        with pytest.raises(TenantForbidden):
            principal(tenants=tenants).resolve_tenant(GLOBEX)


def test_which_tenant_is_meant() -> None:
    """The only one held need not be named; of several, all or none, one must be."""
    assert principal().resolve_tenant(None) == ACME
    assert principal().resolve_tenant(ACME) == ACME
    assert principal(tenants=None).resolve_tenant(GLOBEX) == GLOBEX
    for tenants in (None, frozenset({ACME, GLOBEX}), frozenset()):
        with pytest.raises(Invalid, match="tenant_id is required"):
            principal(tenants=tenants).resolve_tenant(None)


def test_namespaces() -> None:
    """None is every namespace, a set is those in it."""
    docs, models = Namespace("docs"), Namespace("models")
    assert principal().holds_namespace(docs)
    confined = principal(namespaces=frozenset({models}))
    assert confined.holds_namespace(models)
    assert not confined.holds_namespace(docs)


@pytest.mark.parametrize(
    "text", ["", "x" * 19, "x" * 257, "x" * 20 + "\n", "é" * 20, "x" * 20 + "\x7f"]
)
def test_what_is_no_api_key(text: str) -> None:
    """Too short to be a secret, too long, or not visible ASCII."""
    with pytest.raises(Invalid, match="visible ASCII"):
        ApiKeySecret.parse(text)


@pytest.mark.parametrize("text", ["x" * 20, "x" * 256, "an operator's own key"])
def test_an_operator_may_choose_the_key(text: str) -> None:
    """Any visible ASCII of some length; it has no prefix to show."""
    secret = ApiKeySecret.parse(text)
    assert secret.prefix == ""
    assert secret.hashed == hashlib.sha256(text.encode()).digest()


def test_new_keys() -> None:
    """Each is another one, parses, and shows a prefix."""
    made = [ApiKeySecret.new() for _ in range(50)]
    assert len({secret.text for secret in made}) == 50
    assert len({secret.prefix for secret in made}) == 50
    for secret in made:
        assert ApiKeySecret.parse(secret.text) == secret
        assert len(secret.prefix) == 15
        assert secret.text.startswith(secret.prefix + "_")


def test_a_secret_is_never_shown() -> None:
    """Neither its repr nor its row has more than the prefix."""
    secret = ApiKeySecret.new()
    api_key = make_api_key(secret=secret)
    hidden = secret.text.removeprefix(secret.prefix)
    for shown in (repr(secret), str(secret), repr(api_key), f"{secret}"):
        assert hidden not in shown
        assert secret.text not in shown
    assert repr(ApiKeySecret.parse("x" * 20)) == "ApiKeySecret(''...)"


def test_a_key_accepts_its_secret_only() -> None:
    """While it is active and has not expired."""
    secret = ApiKeySecret.new()
    api_key = make_api_key(secret=secret)
    assert api_key.accepts(secret, NOW)
    assert not api_key.accepts(ApiKeySecret.new(), NOW)
    assert not replace(api_key, is_active=False).accepts(secret, NOW)
    expiring = replace(api_key, expires_at=NOW)
    assert expiring.accepts(secret, NOW - timedelta(microseconds=1))
    assert not expiring.accepts(secret, NOW)


def test_a_key_stands_for_a_principal() -> None:
    """With its tenants, scopes and namespaces, under its id."""
    api_key = make_api_key(scopes=[Scope.ADMIN], tenants=None, namespaces=["docs"])
    assert api_key.principal == Principal(
        subject=f"api_key:{api_key.id}",
        tenants=None,
        scopes=frozenset({Scope.ADMIN}),
        namespaces=frozenset({Namespace("docs")}),
    )


TEAM = frozenset({NamespacePattern("team-*")})


@pytest.mark.parametrize(
    "asked",
    [
        {"tenants": None},
        {"tenants": frozenset({ACME, GLOBEX})},
        {"scopes": frozenset({Scope.OBJECTS_DELETE})},
        {"scopes": frozenset({Scope.ADMIN})},
        {"namespaces": None},
        {"namespaces": frozenset({Namespace("docs")})},
    ],
)
def test_what_a_principal_does_not_hold(asked: dict[str, Any]) -> None:
    """One tenant, scope or namespace beyond its own is enough."""
    holder = principal(Scope.KEYS_MANAGE, Scope.OBJECTS_READ, namespaces=TEAM)
    own: dict[str, Any] = {
        "tenants": frozenset({ACME}),
        "scopes": frozenset({Scope.OBJECTS_READ}),
        "namespaces": frozenset({Namespace("team-a")}),
    }
    assert holder.holds(**own)
    assert not holder.holds(**(own | asked))


def test_an_admin_holds_every_scope() -> None:
    """Within its tenants and namespaces."""
    every = frozenset(Scope)
    mine = frozenset({ACME})
    assert principal(Scope.ADMIN).holds(tenants=mine, scopes=every, namespaces=None)
    assert not principal(Scope.ADMIN).holds(tenants=None, scopes=every, namespaces=None)
    assert principal(Scope.ADMIN, tenants=None).holds(tenants=None, scopes=every, namespaces=None)
