"""Uploads: leases, reservations, what commits and what does not."""

from __future__ import annotations

import pytest

from juststorage.domain import ObjectStatus, StorageClass
from juststorage.errors import InvalidState, JustStorageError, PluginError, UploadExpired
from juststorage.ports import Committed, Lease, MetadataStore, Reservation
from juststorage.testing._builders import (
    LEASE_S,
    TENANT,
    locator_of,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    begin,
    blob_key,
    blob_of,
    claim,
    object_by_id,
    reserve,
    scan_objects,
    status_of,
)

__all__ = ["MetadataUploading"]


class MetadataUploading(MetadataTests):
    """Failures first."""

    async def _expect_lost(self, store: MetadataStore, lease: Lease) -> None:
        """Every step of a lost lease is refused and changes nothing."""
        before = await scan_objects(store)
        blobs = await store.blobs.scan(after=None, limit=100)
        with pytest.raises(UploadExpired):
            await store.objects.reserve(lease, make_content("late"))
        with pytest.raises(UploadExpired):
            await store.objects.renew(lease, lease_s=LEASE_S)
        with pytest.raises(UploadExpired):
            await store.objects.commit(lease, "placed/late")
        await store.objects.abort(lease)
        assert await scan_objects(store) == before
        assert await store.blobs.scan(after=None, limit=100) == blobs

    async def test_a_reaped_upload_is_lost(self, store: MetadataStore) -> None:
        """After the reaper there is no way back: no step works, nothing changes."""
        reservation = await reserve(store, make_intent("k"), lease_s=0)
        upload_id = reservation.lease.object.id
        assert await store.objects.reap(limit=10) == [upload_id]
        await self._expect_lost(store, reservation.lease)
        assert await status_of(store, upload_id) is ObjectStatus.DELETED

    async def test_an_aborted_upload_is_lost(self, store: MetadataStore) -> None:
        """Abort ends the upload, releases its reference, and may be called again."""
        content = make_content("aborted")
        reservation = await reserve(store, make_intent("k"), content)
        await store.objects.abort(reservation.lease)
        assert (await blob_of(store, content)).ref_count == 0
        await self._expect_lost(store, reservation.lease)
        assert await status_of(store, reservation.lease.object.id) is ObjectStatus.DELETED

    async def test_a_committed_upload_is_over(self, store: MetadataStore) -> None:
        """A second commit, and an abort after the commit, change nothing."""
        content = make_content("once")
        reservation = await reserve(store, make_intent("k"), content)
        committed = await store.objects.commit(reservation.lease, "placed/once")
        await self._expect_lost(store, reservation.lease)
        assert await store.objects.find(TENANT, committed.object.id) == committed.object

    async def test_a_wrong_epoch_is_a_lost_lease(self, store: MetadataStore) -> None:
        """Whoever holds another epoch than the row's is refused."""
        lease = await begin(store, make_intent("k"))
        stale = Lease(intent=lease.intent, object=lease.object, epoch=lease.epoch + 1)
        await self._expect_lost(store, stale)
        assert await status_of(store, lease.object.id) is ObjectStatus.WRITING

    async def test_an_unknown_upload_is_lost(self, store: MetadataStore) -> None:
        """A lease whose row is gone is refused."""
        lease = await begin(store, make_intent(), lease_s=0)
        await store.objects.reap(limit=10)
        assert await store.objects.purge_tombstones(older_than_s=0, limit=10) == 1
        await self._expect_lost(store, lease)

    async def test_a_lease_that_is_over_counts_until_it_is_taken(
        self, store: MetadataStore
    ) -> None:
        """Time alone loses nothing: an upload that nobody reaped may still commit."""
        reservation = await reserve(store, make_intent("k"), lease_s=0)
        committed = await store.objects.commit(reservation.lease, "placed/x")
        assert committed.object.status is ObjectStatus.COMMITTED

    async def test_renewing_saves_from_the_reaper(self, store: MetadataStore) -> None:
        """A renewed lease runs on from now, and one cut short ends now."""
        lease = await begin(store, make_intent(), lease_s=0)
        await store.objects.renew(lease, lease_s=LEASE_S)
        assert await store.objects.reap(limit=10) == []
        await store.objects.renew(lease, lease_s=0)
        assert await store.objects.reap(limit=10) == [lease.object.id]

    async def test_reserving_twice_counts_once(self, store: MetadataStore) -> None:
        """An object never holds two references; the second call says where the bytes are by now."""
        content = make_content("twice")
        lease = await begin(store, make_intent("k"))
        first = await store.objects.reserve(lease, content)
        for held in (lease, first.lease):
            again = await store.objects.reserve(held, content)
            assert again.locator is None
            assert again.lease.object.content_hash == content.content_hash
        assert (await blob_of(store, content)).ref_count == 1
        await store_object(store, None, content)
        assert (await store.objects.reserve(lease, content)).locator == locator_of(content)
        assert (await blob_of(store, content)).ref_count == 2

    async def test_reserving_other_content_is_refused(self, store: MetadataStore) -> None:
        """Bytes that hash otherwise the second time must not get the name of the first."""
        content, other = make_content("first"), make_content("second")
        reservation = await reserve(store, make_intent(), content)
        with pytest.raises(InvalidState):
            await store.objects.reserve(reservation.lease, other)
        assert (await blob_of(store, content)).ref_count == 1
        assert await store.blobs.find([blob_key(other)]) == {}

    async def test_an_id_is_used_once(self, store: MetadataStore) -> None:
        """Beginning with an id that exists is refused and changes nothing."""
        intent = make_intent()
        committed = await store_object(store, intent)
        with pytest.raises(JustStorageError) as refusal:
            await begin(store, intent)
        assert not isinstance(refusal.value, PluginError)
        assert await scan_objects(store) == [committed.object]

    async def test_begin_makes_an_invisible_object(self, store: MetadataStore) -> None:
        """A WRITING object is in the table, as asked for, and not to be found."""
        intent = make_intent(
            "a/b",
            content_type="text/plain",
            metadata={"a": {"b": 1}},
            storage_class=StorageClass.COLD,
        )
        lease = await begin(store, intent)
        new = intent.new
        found = await object_by_id(store, new.id)
        assert found == lease.object
        assert found is not None
        assert (found.id, found.namespace, found.tenant_id) == (
            new.id,
            new.namespace,
            new.tenant_id,
        )
        assert (found.key, found.storage_class) == (new.key, new.storage_class)
        assert (found.content_type, found.metadata) == (new.content_type, new.metadata)
        assert (found.content_hash, found.size_bytes, found.locator) == (None, None, None)
        assert found.created_at == found.updated_at
        assert found.created_at.utcoffset() is not None
        assert await store.objects.find(new.tenant_id, new.id) is None
        assert new.key is not None
        assert await store.objects.find_by_key(new.tenant_id, new.namespace, new.key) is None

    async def test_the_four_steps(self, store: MetadataStore) -> None:
        """Begin, reserve, commit: the object is visible with its content and its blob's place."""
        content = make_content("hello")
        reservation = await reserve(store, make_intent("k"), content)
        assert reservation.locator is None
        assert reservation.lease.object.content_hash == content.content_hash
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.stored_at, blob.zero_since) == (1, None, None)
        assert blob.size_bytes == content.size_bytes
        committed = await store.objects.commit(reservation.lease, "placed/1")
        assert committed.replaced is None
        stored = committed.object
        assert stored.status is ObjectStatus.COMMITTED
        assert (stored.content_hash, stored.size_bytes) == (content.content_hash, 5)
        assert stored.locator == "placed/1"
        assert stored.updated_at >= stored.created_at
        assert await store.objects.find(TENANT, stored.id) == stored
        blob = await blob_of(store, content)
        assert blob.stored_at is not None
        assert (blob.ref_count, blob.locator) == (1, "placed/1")

    async def test_stored_bytes_are_not_placed_again(self, store: MetadataStore) -> None:
        """A reservation tells where the blob is durable, from the first commit on."""
        content = make_content("shared")
        first = await reserve(store, make_intent(), content)
        second = await reserve(store, make_intent(), content)
        assert (first.locator, second.locator) == (None, None)
        await store.objects.commit(first.lease, "placed/first")
        third = await reserve(store, make_intent(), content)
        assert third.locator == "placed/first"
        late = await store.objects.commit(second.lease, "placed/second")
        assert late.object.locator == "placed/first"
        assert (await blob_of(store, content)).locator == "placed/first"
        assert (await blob_of(store, content)).ref_count == 3

    async def test_claimed_bytes_are_placed_again(self, store: MetadataStore) -> None:
        """Whoever reserves a blob that a collector has claimed places a copy of its own (R01)."""
        content = make_content("claimed")
        committed = await store_object(store, None, content, locator="placed/old")
        await store.objects.delete(TENANT, committed.object.id)
        assert len(await claim(store)) == 1
        reservation = await reserve(store, make_intent(), content)
        assert reservation.locator is None
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.claimed_until, blob.zero_since) == (1, None, None)
        again = await store.objects.commit(reservation.lease, "placed/new")
        assert again.object.locator == "placed/new"
        assert (await blob_of(store, content)).locator == "placed/new"

    async def test_classes_are_apart(self, store: MetadataStore) -> None:
        """The same bytes hot and cold are two blobs (R10)."""
        content = make_content("both")
        hot = await store_object(store, make_intent(), content, locator="placed/hot")
        cold_intent = make_intent(storage_class=StorageClass.COLD)
        reservation = await reserve(store, cold_intent, content)
        assert reservation.locator is None
        cold = await store.objects.commit(reservation.lease, "placed/cold")
        assert (hot.object.locator, cold.object.locator) == ("placed/hot", "placed/cold")
        for storage_class in StorageClass:
            assert (await blob_of(store, content, storage_class)).ref_count == 1

    async def test_content_known_beforehand(self, store: MetadataStore) -> None:
        """`begin_reserved` reserves new content, and commits stored content at once."""
        content = make_content("small")
        begun = await store.objects.begin_reserved(make_intent("a"), content, lease_s=LEASE_S)
        assert isinstance(begun, Reservation)
        assert begun.locator is None
        assert begun.lease.object.status is ObjectStatus.WRITING
        await store.objects.commit(begun.lease, "placed/small")
        done = await store.objects.begin_reserved(make_intent("b"), content, lease_s=LEASE_S)
        assert isinstance(done, Committed)
        assert done.object.locator == "placed/small"
        assert await store.objects.find(TENANT, done.object.id) == done.object
        assert (await blob_of(store, content)).ref_count == 2

    async def test_content_known_but_not_durable(self, store: MetadataStore) -> None:
        """`begin_reserved` does not commit onto bytes that nobody confirmed (R15)."""
        content = make_content("unconfirmed")
        await reserve(store, make_intent(), content)
        begun = await store.objects.begin_reserved(make_intent(), content, lease_s=LEASE_S)
        assert isinstance(begun, Reservation)
        assert begun.locator is None

    async def test_the_reaper_takes_what_is_over(self, store: MetadataStore) -> None:
        """Uploads whose lease is over end, with their references; the others stay."""
        over = [await reserve(store, make_intent(f"k{turn}"), lease_s=0) for turn in range(3)]
        alive = await reserve(store, make_intent("alive"))
        done = await store_object(store, lease_s=0)
        first = await store.objects.reap(limit=2)
        assert len(first) == 2
        rest = await store.objects.reap(limit=10)
        assert {*first, *rest} == {each.lease.object.id for each in over}
        assert await store.objects.reap(limit=10) == []
        for each in over:
            content = make_content(each.lease.object.id)
            assert (await blob_of(store, content)).ref_count == 0
        assert await status_of(store, alive.lease.object.id) is ObjectStatus.WRITING
        assert await status_of(store, done.object.id) is ObjectStatus.COMMITTED

    async def test_what_the_reaper_missed(self, store: MetadataStore) -> None:
        """WRITING with a lease that was over so long ago; looking changes nothing."""
        over = {(await begin(store, make_intent(), lease_s=0)).object.id for _ in range(3)}
        await begin(store, make_intent())
        await store_object(store, lease_s=0)
        await store.objects.abort(await begin(store, make_intent(), lease_s=0))
        assert set(await store.objects.expired(older_than_s=0, limit=10)) == over
        assert len(await store.objects.expired(older_than_s=0, limit=2)) == 2
        assert await store.objects.expired(older_than_s=3600, limit=10) == []
        assert set(await store.objects.reap(limit=10)) == over
        assert await store.objects.expired(older_than_s=0, limit=10) == []

    async def test_live_uploads(self, store: MetadataStore) -> None:
        """WRITING ids are alive, lease over or not; all others are not."""
        running = await begin(store, make_intent())
        over = await begin(store, make_intent(), lease_s=0)
        aborted = await begin(store, make_intent())
        await store.objects.abort(aborted)
        done = await store_object(store)
        unknown = make_intent().new.id
        ids = [running.object.id, over.object.id, aborted.object.id, done.object.id, unknown]
        assert await store.objects.live_uploads(ids) == {running.object.id, over.object.id}
        assert await store.objects.live_uploads([]) == set()

    async def test_a_locator_is_any_text(self, store: MetadataStore) -> None:
        """A locator comes back as the blob store gave it."""
        locator = "a b/%2e%2e/é\N{GRINNING FACE}'\"\\;--"
        committed = await store_object(store, locator=locator)
        found = await store.objects.find(TENANT, committed.object.id)
        assert found is not None and found.locator == locator
        hot = StorageClass.HOT
        assert await store.blobs.locators_in_use(hot, [locator]) == {locator}

    async def test_a_lease_survives_its_content(self, store: MetadataStore) -> None:
        """The lease from before the reservation is as good as the one in it."""
        content = make_content("either")
        lease = await begin(store, make_intent())
        await store.objects.reserve(lease, content)
        await store.objects.renew(lease, lease_s=LEASE_S)
        committed = await store.objects.commit(lease, locator_of(content))
        assert committed.object.content_hash == content.content_hash
