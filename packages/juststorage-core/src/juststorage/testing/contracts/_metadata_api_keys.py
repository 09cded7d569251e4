"""API keys, secrets, and the store as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest

from juststorage.domain import ApiKeySecret, Scope
from juststorage.errors import InvalidState, NotFound
from juststorage.ports import ApiKeyChange, MetadataStore
from juststorage.testing._builders import make_api_key
from juststorage.testing.contracts._metadata_base import MetadataTests

__all__ = ["MetadataApiKeys"]

FUTURE = datetime(2999, 1, 1, tzinfo=UTC)


class MetadataApiKeys(MetadataTests):
    """Failures first."""

    async def test_an_api_key_is_created_once(self, store: MetadataStore) -> None:
        """Its id and its hash are unique."""
        first = await store.api_keys.create(make_api_key())
        with pytest.raises(InvalidState):
            await store.api_keys.create(first)
        twin = msgspec.structs.replace(make_api_key(), hashed=first.hashed)
        with pytest.raises(InvalidState):
            await store.api_keys.create(twin)
        assert await store.api_keys.page(after=None, limit=10) == [first]

    async def test_an_unknown_api_key(self, store: MetadataStore) -> None:
        """Finding answers None, changing is refused, touching is nothing."""
        assert await store.api_keys.find("absent") is None
        assert await store.api_keys.find_by_hash(ApiKeySecret.new().hashed) is None
        with pytest.raises(NotFound):
            await store.api_keys.update("absent", ApiKeyChange(name="x"))
        await store.api_keys.touch(frozenset({"absent"}))
        await store.api_keys.touch(frozenset())
        assert await store.api_keys.page(after=None, limit=10) == []

    @pytest.mark.parametrize("wide", [False, True])
    async def test_an_api_key_comes_back_whole(self, store: MetadataStore, wide: bool) -> None:
        """Every field, all tenants and namespaces included; the time is the store's."""
        secret = ApiKeySecret.new()
        asked = make_api_key(
            "na\N{GRINNING FACE}me",
            scopes=frozenset(Scope) if wide else frozenset(),
            tenants=None if wide else ["acme", "globex"],
            namespaces=None if wide else ["models", "team-*"],
            expires_at=None if wide else FUTURE,
            is_active=wide,
            secret=secret,
        )
        created = await store.api_keys.create(asked)
        assert created == msgspec.structs.replace(asked, created_at=created.created_at)
        assert created.created_at != asked.created_at
        assert created.created_at.utcoffset() is not None
        assert await store.api_keys.find(asked.id) == created
        assert await store.api_keys.find_by_hash(secret.hashed) == created

    async def test_api_keys_by_page(self, store: MetadataStore) -> None:
        """By ascending id, behind the last one."""
        keys = [await store.api_keys.create(make_api_key(f"k{turn}")) for turn in range(7)]
        expected = sorted(keys, key=lambda key: key.id)
        first = await store.api_keys.page(after=None, limit=3)
        second = await store.api_keys.page(after=first[-1].id, limit=3)
        rest = await store.api_keys.page(after=second[-1].id, limit=3)
        assert (len(first), len(second), len(rest)) == (3, 3, 1)
        assert [*first, *second, *rest] == expected
        assert await store.api_keys.page(after=rest[-1].id, limit=3) == []

    async def test_changing_an_api_key(self, store: MetadataStore) -> None:
        """What is unset stays; an expiry can be taken away again."""
        created = await store.api_keys.create(make_api_key())
        change = ApiKeyChange(name="new", expires_at=FUTURE)
        changed = await store.api_keys.update(created.id, change)
        assert changed == msgspec.structs.replace(created, name="new", expires_at=FUTURE)
        scopes = frozenset({Scope.OBJECTS_DELETE, Scope.KEYS_MANAGE})
        changed = await store.api_keys.update(created.id, ApiKeyChange(scopes=scopes))
        assert changed.scopes == scopes
        change = ApiKeyChange(expires_at=None, is_active=False)
        changed = await store.api_keys.update(created.id, change)
        assert (changed.expires_at, changed.is_active) == (None, False)
        assert changed.name == "new"
        assert await store.api_keys.find_by_hash(created.hashed) == changed
        assert await store.api_keys.update(created.id, ApiKeyChange()) == changed

    async def test_the_last_admin_stays(self, store: MetadataStore) -> None:
        """No change may leave the store without an active admin key."""
        admin = await store.api_keys.create(make_api_key("admin", scopes=[Scope.ADMIN]))
        await store.api_keys.create(make_api_key("service"))
        await store.api_keys.create(make_api_key("retired", scopes=[Scope.ADMIN], is_active=False))
        for change in (
            ApiKeyChange(is_active=False),
            ApiKeyChange(scopes=frozenset({Scope.OBJECTS_READ})),
        ):
            with pytest.raises(InvalidState):
                await store.api_keys.update(admin.id, change)
        assert await store.api_keys.find(admin.id) == admin
        await store.api_keys.update(admin.id, ApiKeyChange(name="renamed"))
        await store.api_keys.create(make_api_key("second", scopes=[Scope.ADMIN]))
        revoked = await store.api_keys.update(admin.id, ApiKeyChange(is_active=False))
        assert not revoked.is_active

    async def test_of_two_admins_one_stays(self, store: MetadataStore) -> None:
        """Two admins that revoke each other at once do not both succeed."""
        admins = [await store.api_keys.create(make_api_key(scopes=[Scope.ADMIN])) for _ in range(2)]
        refused: list[str] = []

        async def revoke(key_id: str) -> None:
            try:
                await store.api_keys.update(key_id, ApiKeyChange(is_active=False))
            except InvalidState:
                refused.append(key_id)

        async with anyio.create_task_group() as tasks:
            for admin in admins:
                tasks.start_soon(revoke, admin.id)
        assert len(refused) == 1

    async def test_without_any_admin_others_can_change(self, store: MetadataStore) -> None:
        """The rule protects the last admin; a store that has none is not frozen."""
        created = await store.api_keys.create(make_api_key())
        changed = await store.api_keys.update(created.id, ApiKeyChange(is_active=False))
        assert not changed.is_active

    async def test_touching_api_keys(self, store: MetadataStore) -> None:
        """The named keys get the time of their last use."""
        used = [await store.api_keys.create(make_api_key()) for _ in range(2)]
        idle = await store.api_keys.create(make_api_key())
        await store.api_keys.touch(frozenset({each.id for each in used} | {"absent"}))
        for each in used:
            found = await store.api_keys.find(each.id)
            assert found is not None and found.last_used_at is not None
            assert found.last_used_at >= each.created_at
        assert await store.api_keys.find(idle.id) == idle

    async def test_secrets_are_made_once(self, store: MetadataStore) -> None:
        """32 bytes, the same at every call and for callers at once, another for another name."""
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await store.secret("cursor"))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        assert len(set(answers)) == 1
        assert len(answers[0]) == 32
        assert await store.secret("cursor") == answers[0]
        assert await store.secret("other") != answers[0]

    async def test_ping(self, store: MetadataStore) -> None:
        """An open store answers."""
        await store.ping()

    async def test_its_clock(self, store: MetadataStore) -> None:
        """A store with a clock of its own tells the time in UTC; the kit's machine has the same."""
        now = await store.now()
        if now is not None:
            assert now.utcoffset() == timedelta(0)
            assert abs(now - datetime.now(UTC)) < timedelta(minutes=10)
