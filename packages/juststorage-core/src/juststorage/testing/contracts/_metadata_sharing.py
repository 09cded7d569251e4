"""Many callers at once, and callers that are cancelled."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from juststorage.domain import Change, Conditions, ObjectKey, ObjectStatus, StorageClass
from juststorage.errors import Conflict, NotFound
from juststorage.ports import Content, MetadataStore, Reservation
from juststorage.testing._builders import (
    LEASE_S,
    NAMESPACE,
    TENANT,
    locator_of,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    always,
    blob_of,
    collect,
    move_all,
    reserve,
    scan_objects,
)

__all__ = ["MetadataSharing"]

HOLDING = (ObjectStatus.COMMITTED, ObjectStatus.WRITING)


async def _cancel_after(turns: int, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(turns):
            await checkpoint()
        tasks.cancel_scope.cancel()


async def _settled(store: MetadataStore) -> None:
    """Wait for writes that go on although their callers were cancelled.

    Such a write may happen after its cancellation. Each turn writes something that queues behind
    it, until nothing else changes any more.
    """
    before: object = None
    for _ in range(20):
        lease = await store.objects.begin(make_intent(), lease_s=LEASE_S)
        await store.objects.abort(lease)
        await store.objects.purge_tombstones(older_than_s=0, limit=1000)
        after = (await scan_objects(store), await store.blobs.scan(after=None, limit=1000))
        if after == before:
            return
        before = after
    raise AssertionError("writes go on long after their callers were cancelled")


class MetadataSharing(MetadataTests):
    """The audit after each test is the assertion that matters."""

    @pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 30])
    async def test_cancelled_anywhere(self, store: MetadataStore, turns: int) -> None:
        """A cancelled call happened or did not; the store stays usable and its counts exact."""
        content = make_content("contested")
        held = (await store_object(store, make_intent("held"), content)).object
        extra = (await store_object(store, None, content)).object
        upload = await reserve(store, make_intent("up"), content)
        new = make_intent("new")

        async def page() -> None:
            await store.objects.scan(after=None, limit=10)
            await store.objects.find(TENANT, held.id)

        calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
            page,
            lambda: store.objects.begin_reserved(new, content, lease_s=LEASE_S),
            lambda: store.objects.commit(upload.lease, locator_of(content)),
            lambda: store.objects.update(TENANT, held.id, Change(key=ObjectKey("other"))),
            lambda: store.objects.delete(TENANT, extra.id),
            lambda: store.objects.reap(limit=10),
            lambda: store.blobs.claim(grace_s=0, claim_s=60, limit=10, agree=always),
            lambda: store.secret("cancelled"),
        ]
        for call in calls:
            await _cancel_after(turns, call)
        await store.ping()
        await _settled(store)
        objects = await scan_objects(store)
        held_by = sum(each.status in HOLDING and each.size_bytes is not None for each in objects)
        assert (await blob_of(store, content)).ref_count == held_by
        await store_object(store, make_intent("after"), content)

    async def test_a_blob_that_many_take_and_release(self, store: MetadataStore) -> None:
        """Uploads and deletes of one content beside collectors: nothing is lost (R01)."""
        content = make_content("hot spot")
        kept: list[str] = []

        async def churn(turn: int) -> None:
            for step in range(4):
                committed = await store_object(store, make_intent(), content)
                found = await store.objects.find(TENANT, committed.object.id)
                assert found is not None and found.locator == locator_of(content)
                if step == 3 and turn % 2:
                    kept.append(committed.object.id)
                else:
                    await store.objects.delete(TENANT, committed.object.id)

        async def gather() -> None:
            for _ in range(6):
                await collect(store)
                await store.objects.bury(limit=10)

        async with anyio.create_task_group() as tasks:
            for turn in range(6):
                tasks.start_soon(churn, turn)
            for _ in range(2):
                tasks.start_soon(gather)
        assert (await blob_of(store, content)).ref_count == len(kept) == 3

    async def test_replacements_that_cross(self, store: MetadataStore) -> None:
        """Pairs of blobs released and taken in both orders do not lock each other out (R08)."""
        one, two = make_content("one"), make_content("two")
        keys = [f"k{turn}" for turn in range(4)]
        for turn, key in enumerate(keys):
            await store_object(store, make_intent(key), one if turn % 2 else two)

        async def swap(turn: int) -> None:
            for step in range(4):
                content = one if (turn + step) % 2 else two
                await store_object(store, make_intent(keys[turn % 4], replace=True), content)

        async with anyio.create_task_group() as tasks:
            for turn in range(8):
                tasks.start_soon(swap, turn)
        counts = [(await blob_of(store, each)).ref_count for each in (one, two)]
        assert sum(counts) == 4

    async def test_fifty_at_once(self, store: MetadataStore) -> None:
        """Mixed calls on few keys and few contents, all at once, leave every invariant true."""
        dice = random.Random(20261125)  # noqa: S311  no secret
        contents = [make_content(f"c{turn}") for turn in range(4)]

        async def mix(seed: int) -> None:
            chance = random.Random(seed)  # noqa: S311  no secret
            for _ in range(5):
                await _some_step(store, chance, chance.choice(contents))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(mix, dice.getrandbits(32))


async def _some_step(store: MetadataStore, chance: random.Random, content: Content) -> None:
    """One call that may be refused for a reason that the port names, and for no other."""
    key = ObjectKey(f"k{chance.randrange(4)}")
    intent = make_intent(key, replace=chance.random() < 0.5)
    try:
        match chance.randrange(8):
            case 0 | 1:
                await store_object(store, intent, content)
            case 2:
                begun = await store.objects.begin_reserved(intent, content, lease_s=0)
                if isinstance(begun, Reservation) and chance.random() < 0.5:
                    await store.objects.abort(begun.lease)
            case 3:
                await store.objects.delete_by_key(TENANT, NAMESPACE, key)
            case 4:
                found = await store.objects.find_by_key(TENANT, NAMESPACE, key)
                if found is not None:
                    change = Change(key=ObjectKey(f"k{chance.randrange(4)}"))
                    await store.objects.update(TENANT, found.id, change)
            case 5:
                await store.objects.reap(limit=5)
                await store.objects.bury(limit=5)
                await store.objects.purge_tombstones(older_than_s=0, limit=5)
            case 6:
                await _move(store, key)
            case _:
                claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=2, agree=always)
                await store.blobs.remove([blob.key for blob in claimed], move_all)
    except (Conflict, NotFound):
        return


async def _move(store: MetadataStore, key: ObjectKey) -> None:
    """Move the key's object to the other class."""
    found = await store.objects.find_by_key(TENANT, NAMESPACE, key)
    if found is None:
        return
    assert found.content_hash is not None and found.size_bytes is not None
    other = StorageClass.HOT if found.storage_class is StorageClass.COLD else StorageClass.COLD
    lease = await store.objects.begin(make_intent(storage_class=other), lease_s=LEASE_S)
    content = Content(found.content_hash, found.size_bytes)
    await store.objects.reserve(lease, content)
    try:
        await store.objects.commit_move(
            lease,
            f"{other}/{content.content_hash}",
            object_id=found.id,
            conditions=Conditions(if_match=frozenset({content.content_hash})),
        )
    finally:
        await store.objects.abort(lease)
