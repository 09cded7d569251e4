"""Housekeeping beside the collection: burying, tombstones, adoption, counts, walks."""

from __future__ import annotations

import pytest

from juststorage.domain import Blob, ObjectId, ObjectStatus, StorageClass
from juststorage.ports import MetadataStore
from juststorage.testing._builders import (
    TENANT,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    always,
    begin,
    blob_key,
    blob_of,
    collect,
    garbage,
    move_all,
    reserve,
    scan_objects,
    status_of,
)

__all__ = ["MetadataKeeping"]


class MetadataKeeping(MetadataTests):
    """What keeps the tables small and true."""

    async def test_burying_what_shares_its_blob(self, store: MetadataStore) -> None:
        """A deleted object whose blob lives on for others becomes a tombstone without a removal."""
        content = make_content("shared")
        first = (await store_object(store, None, content)).object
        second = (await store_object(store, None, content)).object
        assert await store.objects.bury(limit=10) == 0
        await store.objects.delete(TENANT, first.id)
        assert await store.objects.bury(limit=10) == 1
        assert await status_of(store, first.id) is ObjectStatus.DELETED
        await store.objects.delete(TENANT, second.id)
        assert await store.objects.bury(limit=10) == 0
        assert await status_of(store, second.id) is ObjectStatus.DELETING

    async def test_burying_has_a_limit(self, store: MetadataStore) -> None:
        """At most so many at once."""
        content = make_content("shared")
        await store_object(store, None, content)
        for _ in range(5):
            extra = await store_object(store, None, content)
            await store.objects.delete(TENANT, extra.object.id)
        assert [await store.objects.bury(limit=2) for _ in range(4)] == [2, 2, 1, 0]

    async def test_tombstones_go_when_they_are_old(self, store: MetadataStore) -> None:
        """Only DELETED rows, only old ones, at most so many at once."""
        for turn in range(3):
            await store.objects.abort(await begin(store, make_intent(f"k{turn}")))
        committed = await store_object(store)
        writing = await begin(store, make_intent())
        (content,) = await garbage(store, "deleting")
        assert await store.objects.purge_tombstones(older_than_s=3600, limit=10) == 0
        assert await store.objects.purge_tombstones(older_than_s=0, limit=2) == 2
        assert await store.objects.purge_tombstones(older_than_s=0, limit=2) == 1
        assert await store.objects.purge_tombstones(older_than_s=0, limit=2) == 0
        left = {each.id for each in await scan_objects(store)}
        assert {committed.object.id, writing.object.id} < left
        assert len(left) == 3
        assert (await blob_of(store, content)).ref_count == 0

    async def test_adopting_a_file_without_a_row(self, store: MetadataStore) -> None:
        """It becomes garbage from now on; what has a row already is left alone (R13)."""
        content = make_content("orphan")
        key = blob_key(content)
        size = content.size_bytes
        assert await store.blobs.adopt(key, size_bytes=size, locator="placed/orphan") is True
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.size_bytes, blob.locator) == (0, size, "placed/orphan")
        assert blob.zero_since is not None
        assert await store.blobs.adopt(key, size_bytes=size, locator="elsewhere") is False
        assert await blob_of(store, content) == blob
        young = await store.blobs.claim(grace_s=3600, claim_s=60, limit=9, agree=always)
        assert young == []
        assert [each.locator for each in (await collect(store)).removed] == ["placed/orphan"]

    async def test_adopted_bytes_are_placed_again(self, store: MetadataStore) -> None:
        """Whoever placed an adopted file may have died before syncing it (R15)."""
        content = make_content("orphan")
        key = blob_key(content)
        await store.blobs.adopt(key, size_bytes=content.size_bytes, locator="placed/orphan")
        reservation = await reserve(store, make_intent(), content)
        assert reservation.locator is None
        committed = await store.objects.commit(reservation.lease, "placed/synced")
        assert committed.object.locator == "placed/synced"

    async def test_lost_bytes_are_placed_again(self, store: MetadataStore) -> None:
        """Whoever finds damage withdraws stored_at; the next upload then mends every object."""
        content = make_content("lost")
        first = (await store_object(store, None, content)).object
        await store.blobs.distrust(blob_key(content))
        assert (await blob_of(store, content)).stored_at is None
        assert (await blob_of(store, content)).ref_count == 1
        found = await store.objects.find(first.tenant_id, first.id)
        assert found is not None
        assert found.locator == first.locator
        again = await reserve(store, make_intent(), content)
        assert again.locator is None
        committed = await store.objects.commit(again.lease, "placed/anew")
        for each in (first, committed.object):
            healed = await store.objects.find(each.tenant_id, each.id)
            assert healed is not None
            assert healed.locator == "placed/anew"

    async def test_distrusting_what_is_not_there(self, store: MetadataStore) -> None:
        """Nothing happens: its row went meanwhile."""
        await store.blobs.distrust(blob_key(make_content("unknown")))
        assert await store.blobs.scan(after=None, limit=9) == []

    async def test_bytes_that_turned_out_whole_are_trusted_again(
        self, store: MetadataStore
    ) -> None:
        """Confirming is the way back from a loss that was mended."""
        content = make_content("mended")
        found = (await store_object(store, None, content)).object
        await store.blobs.distrust(blob_key(content))
        row = await blob_of(store, content)
        assert await store.blobs.confirm(row, "placed/mended") is True
        assert (await blob_of(store, content)).stored_at is not None
        mended = await store.objects.find(found.tenant_id, found.id)
        assert mended is not None and mended.locator == "placed/mended"
        assert await store.blobs.confirm(row, "placed/again") is False
        assert (await blob_of(store, content)).locator == "placed/mended"

    async def test_what_must_not_be_confirmed(self, store: MetadataStore) -> None:
        """Neither a claimed blob, nor what only an upload holds, nor a row that came later."""
        (content,) = await garbage(store, "claimed")
        await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=always)
        claimed = await blob_of(store, content)
        assert await store.blobs.confirm(claimed, "placed/late") is False
        removal = await store.blobs.remove([claimed.key], move_all)
        assert len(removal.removed) == 1
        assert await store.blobs.confirm(claimed, "placed/late") is False
        reservation = await reserve(store, make_intent(), content)
        again = await blob_of(store, content)
        assert await store.blobs.confirm(again, "placed/late") is False
        await store.objects.commit(reservation.lease, "placed/own")
        await store.blobs.distrust(again.key)
        assert await store.blobs.confirm(claimed, "placed/late") is False
        assert await store.blobs.confirm(again, "placed/own") is True

    async def test_who_holds_a_blob(self, store: MetadataStore) -> None:
        """The COMMITTED objects of all tenants, by id, up to a limit; nobody else."""
        content = make_content("shared")
        held = [(await store_object(store, None, content)).object for _ in range(3)]
        gone = (await store_object(store, None, content)).object
        await store.objects.delete(gone.tenant_id, gone.id)
        await reserve(store, make_intent(), content)
        await store_object(store)
        found = await store.objects.holders(blob_key(content), limit=9)
        assert found == sorted(held, key=lambda each: each.id)
        assert await store.objects.holders(blob_key(content), limit=2) == found[:2]
        assert await store.objects.holders(blob_key(make_content("unknown")), limit=9) == []

    async def test_locators_in_use(self, store: MetadataStore) -> None:
        """Those that a row of that class names, garbage included."""
        await store_object(store, locator="placed/a")
        cold = make_intent(storage_class=StorageClass.COLD)
        await store_object(store, cold, locator="placed/cold")
        garbage = await store_object(store, locator="placed/garbage")
        await store.objects.delete(TENANT, garbage.object.id)
        asked = ["placed/a", "placed/cold", "placed/garbage", "placed/none", ""]
        hot = await store.blobs.locators_in_use(StorageClass.HOT, asked)
        assert hot == {"placed/a", "placed/garbage"}
        in_cold = await store.blobs.locators_in_use(StorageClass.COLD, asked)
        assert in_cold == {"placed/cold"}
        assert await store.blobs.locators_in_use(StorageClass.HOT, []) == set()

    @pytest.mark.parametrize("repair", [False, True])
    async def test_right_counts_do_not_drift(self, store: MetadataStore, repair: bool) -> None:
        """A recount of exact counts finds nothing and changes nothing; absent keys are skipped."""
        content = make_content("shared")
        for _ in range(3):
            await store_object(store, None, content)
        await reserve(store, make_intent(), make_content("reserved"))
        await garbage(store, "garbage")
        before = await store.blobs.scan(after=None, limit=10)
        keys = [blob.key for blob in before] + [blob_key(make_content("absent"))]
        assert await store.blobs.recount(keys, repair=repair) == []
        assert await store.blobs.recount([], repair=repair) == []
        assert await store.blobs.scan(after=None, limit=10) == before

    @pytest.mark.parametrize("step", [1, 2, 7, 100])
    async def test_walks_are_complete_and_ordered(self, store: MetadataStore, step: int) -> None:
        """Every blob and every object in every state is seen once, wherever the pages end."""
        stored: list[ObjectId] = []
        for turn in range(5):
            intent = make_intent(storage_class=list(StorageClass)[turn % 2])
            committed = await store_object(store, intent, make_content(f"c{turn // 2}"))
            stored.append(committed.object.id)
        await store.objects.delete(TENANT, stored[0])
        ids = set(stored)
        ids.add((await reserve(store, make_intent(tenant_id="globex"))).lease.object.id)
        ids.add((await begin(store, make_intent(namespace="other"))).object.id)
        objects = await scan_objects(store, step=step)
        assert [each.id for each in objects] == sorted(ids)
        blobs: list[Blob] = []
        while page := await store.blobs.scan(after=blobs[-1].key if blobs else None, limit=step):
            assert len(page) <= step
            blobs += page
        assert [blob.key for blob in blobs] == sorted({blob.key for blob in blobs})
        found = await store.blobs.find([blob.key for blob in blobs])
        assert found == {blob.key: blob for blob in blobs}
        assert await store.blobs.find([]) == {}
