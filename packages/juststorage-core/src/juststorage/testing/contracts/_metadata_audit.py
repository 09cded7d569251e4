"""The audit table, and counters of windows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import Change, ObjectId, Scope
from juststorage.errors import KeyConflict, NotFound
from juststorage.ports import Actor, ApiKeyChange, AuditEvent, MetadataStore, acting
from juststorage.testing._builders import (
    TENANT,
    locator_of,
    make_api_key,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import MetadataTests, begin, collect

__all__ = ["MetadataAudit"]


@contextmanager
def acting_as(subject: str, request_id: str | None = None) -> Any:
    """Act in this name within the block."""
    token = acting.set(Actor(subject, request_id))
    try:
        yield
    finally:
        acting.reset(token)


async def events(store: MetadataStore) -> list[AuditEvent]:
    """All of them, two by two."""
    found: list[AuditEvent] = []
    while page := await store.audit.page(after=found[-1].id if found else 0, limit=2):
        found += page
    return found


async def said(store: MetadataStore) -> list[tuple[str, str | None, str]]:
    """Of each event the action, in whose name, and on what."""
    return [(each.action, each.subject, each.target) for each in await events(store)]


class MetadataAudit(MetadataTests):
    """What is recorded, and what is not."""

    @pytest.fixture
    async def audited(self, options: msgspec.Struct) -> AsyncIterator[MetadataStore]:
        """A store that keeps an audit table, empty."""
        async with self.opened(options, audit=True) as store:
            yield store

    async def test_nothing_is_recorded_unasked(self, store: MetadataStore) -> None:
        """A store that was not told to keep the table keeps none."""
        with acting_as("alice"):
            committed = await store_object(store, make_intent("k"), make_content("x"))
            await store.objects.delete(TENANT, committed.object.id)
            await store.api_keys.create(make_api_key())
        assert await events(store) == []

    async def test_what_failed_is_not_recorded(self, audited: MetadataStore) -> None:
        """Neither refusals nor uploads that ended without an object leave an event."""
        with acting_as("alice"):
            await store_object(audited, make_intent("k"), make_content("x"))
            before = await events(audited)
            with pytest.raises(KeyConflict):
                await begin(audited, make_intent("k"))
            with pytest.raises(NotFound):
                await audited.objects.delete(TENANT, ObjectId.new())
            lease = await begin(audited, make_intent())
            await audited.objects.reserve(lease, make_content("y"))
            await audited.objects.abort(lease)
            with pytest.raises(NotFound):
                await audited.api_keys.update("absent", ApiKeyChange(name="x"))
            key = await audited.api_keys.create(make_api_key())
            await audited.api_keys.touch(frozenset({key.id}))
            await audited.api_keys.update(key.id, ApiKeyChange())
        assert await said(audited) == [
            *((each.action, each.subject, each.target) for each in before),
            ("api_key.created", "alice", key.id),
        ]

    async def test_the_life_of_an_object(self, audited: MetadataStore) -> None:
        """Created, replaced, changed, moved, deleted; a replacement is two events of one name."""
        content = make_content("x")
        with acting_as("alice", "request-1"):
            first = (await store_object(audited, make_intent("k"), content)).object
        with acting_as("bob", "request-2"):
            intent = make_intent("k", replace=True)
            second = (await store_object(audited, intent, make_content("y"))).object
        with acting_as("carol"):
            change = Change(merge_metadata={"a": 1})
            await audited.objects.update(TENANT, second.id, change)
        with acting_as("dave"):
            await audited.objects.delete(TENANT, second.id)
        found = await events(audited)
        assert {(each.action, each.subject, each.target) for each in found} == {
            ("object.created", "alice", first.id),
            ("object.created", "bob", second.id),
            ("object.deleted", "bob", first.id),
            ("object.changed", "carol", second.id),
            ("object.deleted", "dave", second.id),
        }
        assert [each.id for each in found] == sorted(each.id for each in found)
        assert found[0].request_id == "request-1"
        assert {each.request_id for each in found if each.subject == "bob"} == {"request-2"}
        assert {(each.tenant_id, each.namespace) for each in found} == {
            (first.tenant_id, first.namespace)
        }
        assert found[0].details == {"content_hash": content.content_hash, "storage_class": "hot"}
        assert all(each.at.utcoffset() is not None for each in found)

    async def test_all_ways_to_commit_and_to_delete(self, audited: MetadataStore) -> None:
        """In one call, in steps, on bytes that are there; by key, and many at once."""
        content = make_content("x")
        with acting_as("alice"):
            await store_object(audited, make_intent("a"), content)
            await audited.objects.begin_reserved(make_intent("b"), content, lease_s=60)
            lease = await begin(audited, make_intent("c"))
            reservation = await audited.objects.reserve(lease, make_content("other"))
            await audited.objects.commit(reservation.lease, locator_of(make_content("other")))
        found = await events(audited)
        assert [each.action for each in found] == ["object.created"] * 3
        ids = [ObjectId(each.target) for each in found]
        with acting_as("bob"):
            await audited.objects.delete_many(TENANT, ids[:2])
            by_key = make_intent("c").new
            assert by_key.key is not None
            await audited.objects.delete_by_key(TENANT, by_key.namespace, by_key.key)
        gone = (await events(audited))[3:]
        assert {(each.action, each.subject) for each in gone} == {("object.deleted", "bob")}
        assert {each.target for each in gone} == set(ids)
        await collect(audited)
        await audited.objects.bury(limit=100)
        assert len(await events(audited)) == 6

    async def test_the_life_of_a_key(self, audited: MetadataStore) -> None:
        """Created, changed, revoked; its hash is nowhere."""
        with acting_as("operator"):
            key = await audited.api_keys.create(make_api_key("first", scopes=[Scope.OBJECTS_READ]))
            await audited.api_keys.update(key.id, ApiKeyChange(name="second"))
            await audited.api_keys.update(key.id, ApiKeyChange(is_active=False))
        found = await events(audited)
        assert [each.action for each in found] == [
            "api_key.created",
            "api_key.changed",
            "api_key.revoked",
        ]
        assert {(each.subject, each.target, each.tenant_id) for each in found} == {
            ("operator", key.id, None)
        }
        assert found[0].details == {
            "name": "first",
            "scopes": ["objects:read"],
            "is_active": True,
        }
        assert (found[1].details["name"], found[2].details["is_active"]) == ("second", False)

    async def test_callers_at_once_keep_their_names(self, audited: MetadataStore) -> None:
        """Requests that the store puts together are still recorded apart."""

        async def upload(number: int) -> None:
            with acting_as(f"user-{number}", f"request-{number}"):
                intent = make_intent(f"k{number}")
                await store_object(audited, intent, make_content(f"c{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(upload, number)
        found = await events(audited)
        assert len(found) == 30
        hashes = {make_content(f"c{number}").content_hash: number for number in range(30)}
        for each in found:
            number = hashes[each.details["content_hash"]]
            assert (each.subject, each.request_id) == (f"user-{number}", f"request-{number}")

    async def test_nobody_in_particular(self, audited: MetadataStore) -> None:
        """What the service does by itself has no name."""
        await store_object(audited, make_intent(), make_content("x"))
        [event] = await events(audited)
        assert (event.subject, event.request_id) == (None, None)

    async def test_tallies_add_up(self, store: MetadataStore) -> None:
        """Counters begin at 0, are of one window, and are read with what was added."""
        assert await store.tallies.add(60, {}) == {}
        assert await store.tallies.add(60, {"a": 0, "b": 2}) == {"a": 0, "b": 2}
        assert await store.tallies.add(60, {"b": 3, "c": 2**50}) == {"b": 5, "c": 2**50}
        assert await store.tallies.add(120, {"a": 1, "b": 1}) == {"a": 1, "b": 1}
        assert await store.tallies.add(60, {"b": 0}) == {"b": 5}
        strange = "'; DROP TABLE tallies; -- \N{GRINNING FACE} %s $1"
        assert await store.tallies.add(60, {strange: 1}) == {strange: 1}

    async def test_tallies_of_callers_at_once(self, store: MetadataStore) -> None:
        """Nothing is lost, and those who add to the same counters in any order get through."""
        names = [f"n{number}" for number in range(10)]

        async def add(order: Callable[[list[str]], Any]) -> None:
            for _ in range(5):
                await store.tallies.add(60, dict.fromkeys(order(names), 1))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(add, list)
                tasks.start_soon(add, reversed)
        assert await store.tallies.add(60, dict.fromkeys(names, 0)) == dict.fromkeys(names, 40)

    async def test_old_windows_may_be_forgotten(self, store: MetadataStore) -> None:
        """Those of the last day are kept."""
        day_s = 86_400
        await store.tallies.add(10 * day_s, {"a": 1})
        await store.tallies.add(11 * day_s, {"a": 1})
        assert await store.tallies.add(10 * day_s, {"a": 1}) == {"a": 2}
