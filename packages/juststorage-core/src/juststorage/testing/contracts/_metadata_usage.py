"""How much a tenant stores: exact at any time, and counted with what changes it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import anyio
import pytest

from juststorage.domain import Change, NamespacePattern, ObjectKey, StorageClass, TenantId
from juststorage.errors import KeyConflict
from juststorage.ports import MetadataStore, Usage
from juststorage.testing._builders import NAMESPACE, TENANT, make_content, make_intent, store_object
from juststorage.testing.contracts._metadata_base import MetadataTests, begin, reserve

__all__ = ["MetadataUsage"]

OTHER = TenantId("globex")
HOT, COLD = StorageClass.HOT, StorageClass.COLD


def told(usage: Usage) -> dict[tuple[str, str], tuple[int, int, int | None]]:
    """The parts by namespace and class."""
    names = [(part.namespace, part.storage_class) for part in usage.parts]
    assert names == sorted(set(names)), "each part once, in order"
    return {
        (str(part.namespace), str(part.storage_class)): (
            part.objects,
            part.logical_bytes,
            part.physical_bytes,
        )
        for part in usage.parts
    }


class MetadataUsage(MetadataTests):
    """The audit after each test of the contract counts again, too."""

    async def test_nothing_is_counted_before_it_is_there(self, store: MetadataStore) -> None:
        """Uploads that are under way, fail or lose their key are no usage."""
        assert await store.usage.of(TENANT) == Usage(parts=[], physical_bytes=0)
        await begin(store, make_intent("begun"))
        await reserve(store, make_intent("reserved"))
        aborted = await reserve(store, make_intent("aborted"))
        await store.objects.abort(aborted.lease)
        with pytest.raises(KeyConflict):
            await begin(store, make_intent("begun"))
        await reserve(store, make_intent("reaped"), lease_s=0)
        await store.objects.reap(limit=10)
        assert await store.usage.of(TENANT) == Usage(parts=[], physical_bytes=0)

    async def test_each_way_to_come_and_go(self, store: MetadataStore) -> None:
        """Committed, replaced, moved, changed, deleted by id, by key and by the hundred."""
        small, large = make_content("12"), make_content("12345")
        await store_object(store, make_intent("a"), small)
        assert told(await store.usage.of(TENANT)) == {("models", "hot"): (1, 2, 2)}
        # The content is stored: this one is committed as it begins.
        same = (await store_object(store, make_intent("b"), small)).object
        assert told(await store.usage.of(TENANT)) == {("models", "hot"): (2, 4, 2)}
        await store_object(store, make_intent("a", replace=True), large)
        assert told(await store.usage.of(TENANT)) == {("models", "hot"): (2, 7, 7)}
        upload = await reserve(store, make_intent(storage_class=COLD), small)
        await store.objects.commit_move(upload.lease, "cold/1", object_id=same.id)
        after_move = {("models", "cold"): (1, 2, 2), ("models", "hot"): (1, 5, 5)}
        assert told(await store.usage.of(TENANT)) == after_move
        await store.objects.update(TENANT, same.id, Change(key=ObjectKey("c"), content_type="x/y"))
        assert told(await store.usage.of(TENANT)) == after_move
        await store.objects.delete(TENANT, same.id)
        await store.objects.delete_by_key(TENANT, NAMESPACE, ObjectKey("a"))
        assert await store.usage.of(TENANT) == Usage(parts=[], physical_bytes=0)
        many = [(await store_object(store, None, large)).object.id for _ in range(3)]
        await store.objects.delete_many(TENANT, many[:2])
        assert told(await store.usage.of(TENANT)) == {("models", "hot"): (1, 5, 5)}

    async def test_physical_bytes_count_each_content_once(self, store: MetadataStore) -> None:
        """Once in each class of the asked scope, whatever others store of the same bytes."""
        content = make_content("shared by all")
        size = content.size_bytes
        for namespace, kind, count in (("one", HOT, 2), ("one", COLD, 1), ("two", HOT, 3)):
            for _ in range(count):
                intent = make_intent(namespace=namespace, storage_class=kind)
                await store_object(store, intent, content)
        await store_object(store, make_intent(tenant_id=OTHER), content)
        usage = await store.usage.of(TENANT)
        assert told(usage) == {
            ("one", "cold"): (1, size, size),
            ("one", "hot"): (2, 2 * size, size),
            ("two", "hot"): (3, 3 * size, size),
        }
        assert (usage.objects, usage.logical_bytes) == (6, 6 * size)
        assert usage.physical_bytes == 2 * size
        assert (await store.usage.of(OTHER)).physical_bytes == size
        left_out = await store.usage.of(TENANT, physical=False)
        assert left_out.physical_bytes is None
        assert told(left_out)["two", "hot"] == (3, 3 * size, None)

    async def test_namespaces(self, store: MetadataStore) -> None:
        """Only those that are asked for, or begin so; wildcards of databases are letters."""
        for namespace in ("team-a", "team-b", "team", "t_am-c"):
            await store_object(store, make_intent(namespace=namespace))
        await store_object(store, make_intent(namespace="team-a", tenant_id=OTHER))

        async def asked(*patterns: str) -> list[str]:
            for physical in (True, False):
                usage = await store.usage.of(
                    TENANT,
                    namespaces=frozenset(map(NamespacePattern, patterns)),
                    physical=physical,
                )
                assert physical == (usage.physical_bytes is not None)
            return [str(part.namespace) for part in usage.parts]

        assert await asked("team") == ["team"]
        assert await asked("team-*") == ["team-a", "team-b"]
        assert await asked("t_am*", "team") == ["t_am-c", "team"]
        assert await asked("other", "t*") == ["t_am-c", "team", "team-a", "team-b"]
        assert await asked() == []

    async def test_folding_changes_nothing(self, store: MetadataStore) -> None:
        """Whatever is folded meanwhile, and by how many, the sum is the same."""
        left = [(await store_object(store, make_intent(namespace="n"))).object for _ in range(9)]
        await store.usage.fold(limit=2)
        await store_object(store, make_intent(namespace="m"))
        for each in left[:4]:
            await store.objects.delete(TENANT, each.id)
        before = await store.usage.of(TENANT)
        assert before.objects == 6

        async def fold() -> None:
            while await store.usage.fold(limit=3):
                assert await store.usage.of(TENANT) == before

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(fold)
        assert await store.usage.of(TENANT) == before
        for each in left[4:]:
            await store.objects.delete(TENANT, each.id)
        assert [part.namespace for part in (await store.usage.of(TENANT)).parts] == ["m"]
        await store.usage.fold(limit=100)
        assert [part.namespace for part in (await store.usage.of(TENANT)).parts] == ["m"]

    async def test_many_changes_at_once(self, store: MetadataStore) -> None:
        """Uploads and deletes of one tenant at the same time are all counted."""
        contents = [make_content(f"content {number}") for number in range(5)]
        expected: defaultdict[str, int] = defaultdict(int)

        async def work(number: int) -> None:
            namespace = f"n{number % 3}"
            intent = make_intent(
                f"key {number % 7}", replace=True, namespace=namespace, storage_class=HOT
            )
            committed = await store_object(store, intent, contents[number % 5])
            expected[namespace] += committed.replaced is None
            if number % 2:
                deleted = await store.objects.delete_many(TENANT, [committed.object.id])
                expected[namespace] -= len(deleted)
            if number % 5 == 0:
                await store.usage.fold(limit=4)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(work, number)
        counted = {
            str(part.namespace): part.objects for part in (await store.usage.of(TENANT)).parts
        }
        assert counted == {name: count for name, count in expected.items() if count}

    async def test_counting_again(self, store: MetadataStore) -> None:
        """Tenant by tenant, in order; what is right is left as it is."""
        for tenant_id in ("b", "a", "c"):
            await store_object(store, make_intent(tenant_id=tenant_id))
        before = await store.usage.of(TenantId("a"))
        for repair in (False, True):
            found: list[Any] = []
            after: TenantId | None = None
            while (each := await store.usage.recount(after=after, repair=repair)) is not None:
                after = each.tenant_id
                found.append((str(each.tenant_id), each.drifts))
            assert found == [("a", []), ("b", []), ("c", [])]
        assert await store.usage.of(TenantId("a")) == before

    async def test_totals_of_the_whole_store(self, store: MetadataStore) -> None:
        """All tenants together, by class; what is not held counts as stored until it is gone."""
        empty = await store.usage.totals(physical=True)
        assert (empty.tenants, empty.garbage_since) == (0, None)
        assert [(each.storage_class, each.objects, each.blobs) for each in empty.parts] == [
            (COLD, 0, 0),
            (HOT, 0, 0),
        ]
        content = make_content("12345")
        await store_object(store, make_intent("a"), content)
        await store_object(store, make_intent("b"), content)
        await store_object(store, make_intent("c", tenant_id=OTHER, storage_class=COLD), content)
        gone = await store_object(store, make_intent("d"), make_content("123"))
        await store.objects.delete(TENANT, gone.object.id)
        totals = await store.usage.totals(physical=True)
        assert totals.tenants == 2
        cold, hot = totals.parts
        assert (cold.objects, cold.logical_bytes, cold.blobs, cold.physical_bytes) == (1, 5, 1, 5)
        assert (hot.objects, hot.logical_bytes, hot.blobs, hot.physical_bytes) == (2, 10, 2, 8)
        assert totals.garbage_since is not None
        quick = await store.usage.totals(physical=False)
        parts = [(each.objects, each.blobs, each.physical_bytes) for each in quick.parts]
        assert parts == [(1, None, None), (2, None, None)]
        assert (quick.tenants, quick.garbage_since) == (2, totals.garbage_since)
