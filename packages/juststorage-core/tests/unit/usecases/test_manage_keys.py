"""API keys: nobody hands on what they do not hold, or sees what reaches further."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from juststorage.domain import (
    ApiKey,
    NamespacePattern,
    ObjectId,
    Principal,
    Scope,
    TenantId,
)
from juststorage.errors import (
    Invalid,
    InvalidCursor,
    InvalidState,
    NotFound,
    ScopeMissing,
    TenantForbidden,
)
from juststorage.ports import ApiKeyChange
from juststorage.testing import make_api_key
from juststorage.usecases import ManageApiKeys, NewApiKey

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
READ, WRITE, MANAGE = Scope.OBJECTS_READ, Scope.OBJECTS_WRITE, Scope.KEYS_MANAGE
OPERATOR = Principal(subject="operator", tenants=None, scopes=frozenset({Scope.ADMIN}))


def manager(**properties: Any) -> Principal:
    """A caller who manages the keys of acme, and may read."""
    holds: dict[str, Any] = {
        "subject": "api_key:nobody",
        "tenants": frozenset({ACME}),
        "scopes": frozenset({MANAGE, READ}),
    }
    return Principal(**(holds | properties))


def new(**properties: Any) -> NewApiKey:
    """A key that `manager` may create."""
    asked: dict[str, Any] = {
        "name": "n",
        "tenants": frozenset({ACME}),
        "scopes": frozenset({READ}),
    }
    return NewApiKey(**(asked | properties))


@pytest.fixture
def keys(service: Any) -> ManageApiKeys:
    """Over the memory store."""
    return ManageApiKeys(service.metadata, clock=service.clock, secret=b"s" * 32)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"tenants": None}, TenantForbidden),
        ({"tenants": frozenset({GLOBEX})}, TenantForbidden),
        ({"tenants": frozenset({ACME, GLOBEX})}, TenantForbidden),
        ({"scopes": frozenset({READ, WRITE})}, ScopeMissing),
        ({"scopes": frozenset({Scope.ADMIN})}, ScopeMissing),
        ({"tenants": frozenset()}, Invalid),
        ({"scopes": frozenset()}, Invalid),
        ({"namespaces": frozenset()}, Invalid),
        ({"tenants": frozenset(TenantId(f"t{n}") for n in range(257))}, Invalid),
        ({"name": ""}, Invalid),
        ({"name": "x" * 129}, Invalid),
        ({"name": "a\nb"}, Invalid),
        ({"name": "a\x00b"}, Invalid),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, Invalid),
        (
            {"expires_at": datetime.max.replace(tzinfo=UTC)},
            None,
        ),
    ],
)
async def test_what_cannot_be_granted(
    service: Any, keys: ManageApiKeys, asked: dict[str, Any], refusal: type[Exception] | None
) -> None:
    """Nothing is created that the caller does not hold, or that breaks a rule."""
    if refusal is None:
        assert (await keys.create(manager(), new(**asked))).api_key.expires_at
        return
    with pytest.raises(refusal):
        await keys.create(manager(), new(**asked))
    assert await service.metadata.api_keys.page(after=None, limit=10) == []


async def test_a_confined_manager_cannot_reach_out(keys: ManageApiKeys) -> None:
    """Neither by a wider prefix nor by leaving the namespaces out."""
    confined = manager(namespaces=frozenset({NamespacePattern("team-*")}))
    for namespaces in (None, frozenset({NamespacePattern("t*")})):
        with pytest.raises(TenantForbidden, match="namespaces"):
            await keys.create(confined, new(namespaces=namespaces))
    within = frozenset({NamespacePattern("team-a"), NamespacePattern("team-b*")})
    issued = await keys.create(confined, new(namespaces=within))
    assert issued.api_key.namespaces == within


async def test_the_secret_is_what_was_stored(service: Any, keys: ManageApiKeys) -> None:
    """The key opens the door, and its row has the hash alone."""
    issued = await keys.create(manager(), new())
    found = await service.metadata.api_keys.find_by_hash(issued.secret.hashed)
    assert found == issued.api_key
    assert found.accepts(issued.secret, service.clock.now())
    assert issued.secret.text not in repr(issued)


BEYOND: list[dict[str, Any]] = [
    {"tenants": None},
    {"tenants": ["acme", "globex"]},
    {"scopes": [READ, WRITE]},
    {"scopes": [Scope.ADMIN]},
]


@pytest.mark.parametrize("properties", BEYOND)
async def test_a_key_that_reaches_further_is_like_none(
    service: Any, keys: ManageApiKeys, properties: dict[str, Any]
) -> None:
    """It can be neither seen nor changed, in the words for a key that never was."""
    key: ApiKey = await service.metadata.api_keys.create(make_api_key(**properties))
    said = set()
    for key_id in (ObjectId(key.id), ObjectId.new()):
        for attempt in (
            keys.find(manager(), key_id),
            keys.change(manager(), key_id, ApiKeyChange(name="mine")),
            keys.revoke(manager(), key_id),
        ):
            with pytest.raises(NotFound) as caught:
                await attempt
            said.add(caught.value.detail)
    assert len(said) == 1
    assert (await keys.page(manager(), limit=10)).api_keys == []
    assert await service.metadata.api_keys.find(key.id) == key
    assert (await keys.page(OPERATOR, limit=10)).api_keys == [key]


async def test_a_change_cannot_grant_either(service: Any, keys: ManageApiKeys) -> None:
    """Scopes that the caller does not hold, an expiry that is past, no scope at all."""
    key = await service.metadata.api_keys.create(make_api_key())
    past = service.clock.now() - timedelta(seconds=1)
    for change, refusal in (
        (ApiKeyChange(scopes=frozenset({READ, WRITE})), ScopeMissing),
        (ApiKeyChange(scopes=frozenset()), Invalid),
        (ApiKeyChange(expires_at=past), Invalid),
        (ApiKeyChange(name=""), Invalid),
    ):
        with pytest.raises(refusal):
            await keys.change(manager(), ObjectId(key.id), change)
    assert await service.metadata.api_keys.find(key.id) == key


async def test_a_key_cannot_weaken_itself(service: Any, keys: ManageApiKeys) -> None:
    """Nor revoke itself; it may rename itself, and others may do all of it."""
    later = service.clock.now() + timedelta(days=2)
    key = await service.metadata.api_keys.create(
        make_api_key(scopes=[MANAGE, READ], expires_at=later)
    )
    own, key_id = key.principal, ObjectId(key.id)
    sooner = later - timedelta(days=1)
    for change in (
        ApiKeyChange(is_active=False),
        ApiKeyChange(scopes=frozenset({MANAGE})),
        ApiKeyChange(expires_at=sooner),
    ):
        with pytest.raises(InvalidState, match="itself"):
            await keys.change(own, key_id, change)
        with pytest.raises(InvalidState, match="itself"):
            await keys.change(own, key_id, msgspec.structs.replace(change, name="x"))
    assert await service.metadata.api_keys.find(key.id) == key
    harmless = ApiKeyChange(name="x", scopes=frozenset({MANAGE, READ}), is_active=True)
    assert (await keys.change(own, key_id, harmless)).name == "x"
    assert (await keys.change(OPERATOR, key_id, ApiKeyChange(expires_at=sooner))).expires_at
    assert not (await keys.revoke(OPERATOR, key_id)).is_active


async def test_the_last_admin_key_stays(service: Any, keys: ManageApiKeys) -> None:
    """Also for someone else who is an admin."""
    key = await service.metadata.api_keys.create(make_api_key(scopes=[Scope.ADMIN], tenants=None))
    with pytest.raises(InvalidState, match="last"):
        await keys.revoke(OPERATOR, ObjectId(key.id))
    await keys.create(OPERATOR, new(scopes=frozenset({Scope.ADMIN}), tenants=None))
    assert not (await keys.revoke(OPERATOR, ObjectId(key.id))).is_active


async def test_pages_have_what_the_caller_sees(service: Any, keys: ManageApiKeys) -> None:
    """All of it, once, whatever lies between; the last page has no cursor."""
    mine = []
    for turn in range(5):
        mine.append(await service.metadata.api_keys.create(make_api_key(f"mine{turn}")))
        await service.metadata.api_keys.create(make_api_key("other", tenants=["globex"]))
    walked, cursor = [], None
    for _ in range(3):
        listing = await keys.page(manager(), limit=2, cursor=cursor)
        walked += listing.api_keys
        cursor = listing.next_cursor
    assert cursor is None
    assert walked == sorted(mine, key=lambda key: key.id)
    assert (await keys.page(manager(), limit=5)).next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "!!!", "é", "A" * 300, "AAAA" * 20, "MTIz"])
async def test_a_cursor_cannot_be_made_up(keys: ManageApiKeys, cursor: str) -> None:
    """Whatever the text."""
    with pytest.raises(InvalidCursor):
        await keys.page(manager(), limit=2, cursor=cursor)


async def test_a_cursor_cannot_be_changed(service: Any, keys: ManageApiKeys) -> None:
    """Not by a single bit of what it says."""
    for _ in range(2):
        await service.metadata.api_keys.create(make_api_key())
    cursor = (await keys.page(manager(), limit=1)).next_cursor
    assert cursor is not None
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for position in (0, 15, 16, len(raw) - 1):
        forged = bytearray(raw)
        forged[position] ^= 1
        text = base64.urlsafe_b64encode(forged).decode().rstrip("=")
        with pytest.raises(InvalidCursor):
            await keys.page(manager(), limit=1, cursor=text)
