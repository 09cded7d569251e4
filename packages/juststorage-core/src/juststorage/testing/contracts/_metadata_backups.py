"""Holds, snapshots, and states that are put back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.domain import (
    ApiKey,
    BlobKey,
    Conditions,
    IdempotencyKey,
    ObjectId,
    ObjectMetadata,
    ObjectStatus,
    StorageClass,
    StoredObject,
)
from juststorage.errors import InvalidState, PreconditionFailed
from juststorage.ports import (
    AuditEvent,
    Committed,
    Content,
    MetadataStore,
    Record,
    SavedAnswer,
    SavedBlob,
    encode_answer,
)
from juststorage.testing._builders import (
    TENANT,
    locator_of,
    make_api_key,
    make_content,
    make_intent,
    make_new_object,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    begin,
    blob_key,
    blob_of,
    claim,
    garbage,
    move_all,
    object_by_id,
)

__all__ = ["MetadataBackups"]

_T1 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_T2 = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


async def records_of(store: MetadataStore, *, step: int = 3) -> list[Record]:
    """All records of a snapshot, taken now."""
    found: list[Record] = []
    async with await store.backups.snapshot() as snapshot:
        while page := await snapshot.read(step):
            assert len(page) <= step
            found += page
    return found


def placed(records: Sequence[Record]) -> list[Record]:
    """The same records, with the places of all bytes."""
    return [
        replace(each, locator=f"placed/{each.key.content_hash}")
        if isinstance(each, SavedBlob)
        else each
        for each in records
    ]


def saved_blob(content: Content, references: int = 1) -> SavedBlob:
    """The record of a blob, as a snapshot gives it."""
    return SavedBlob(
        key=blob_key(content),
        size_bytes=content.size_bytes,
        references=references,
        first_seen_at=_T1,
        last_used_at=None,
    )


def saved_object(content: Content, key: str | None = None, **changes: Any) -> StoredObject:
    """The record of an object."""
    begun = StoredObject.begin(make_new_object(key, metadata={"a": [1, "ä"]}), _T1)
    stored = begun.with_content(content.content_hash, content.size_bytes)
    return replace(stored, status=ObjectStatus.COMMITTED, updated_at=_T2, **changes)


def a_state() -> list[Record]:
    """Something of everything, in the order of a snapshot."""
    one, two = make_content("one"), make_content("two")
    api_key = replace(make_api_key(expires_at=_T2), created_at=_T1, last_used_at=_T2)
    objects = [saved_object(one, "k"), saved_object(one), saved_object(two)]
    objects[0] = replace(objects[0], metadata=ObjectMetadata(b'{"z":1.50,"a":[true,"\xc3\xa4"]}'))
    objects.sort(key=lambda each: each.id)
    blobs = [saved_blob(one, 2), replace(saved_blob(two), last_used_at=_T2)]
    blobs.sort(key=lambda each: each.key)
    event = AuditEvent(
        id=7,
        at=_T1,
        action="object.created",
        subject="alice",
        request_id=None,
        tenant_id=TENANT,
        namespace="models",
        target=objects[0].id,
        details={"content_hash": str(one.content_hash), "storage_class": "hot"},
    )
    answer = SavedAnswer(
        tenant_id=TENANT,
        text="again",
        request="PUT x",
        upload_id=objects[0].id,
        expires_at=datetime(2999, 1, 1, tzinfo=UTC),
        answer=encode_answer(Committed(objects[0])),
    )
    return [api_key, *blobs, *objects, answer, event]


class MetadataBackups(MetadataTests):
    """Failures first."""

    # -- holds --------------------------------------------------------------------------------

    async def test_what_dies_during_a_hold_is_not_claimed(self, store: MetadataStore) -> None:
        """Nobody collects what a snapshot that is taken now names; what died before may go."""
        (before,) = await garbage(store, "before")
        hold = await store.backups.hold("b", hold_s=3600, back_s=0)
        assert hold.expires_at is not None and hold.since < hold.expires_at
        (during,) = await garbage(store, "during")
        assert [blob.key for blob in await claim(store)] == [blob_key(before)]
        await store.backups.release("b")
        await store.backups.release("b")
        assert [blob.key for blob in await claim(store)] == [blob_key(during)]

    async def test_a_hold_reaches_back(self, store: MetadataStore) -> None:
        """Of several holds the one that reaches furthest counts."""
        (content,) = await garbage(store, "old")
        await store.backups.hold("far", hold_s=3600, back_s=3600)
        await store.backups.hold("near", hold_s=3600, back_s=0)
        assert await claim(store) == []
        await store.backups.release("far")
        assert [blob.key for blob in await claim(store)] == [blob_key(content)]

    async def test_a_hold_that_ran_out_holds_nothing(self, store: MetadataStore) -> None:
        """Whoever died does not stop collectors for ever, and who comes late is told so."""
        await store.backups.hold("dead", hold_s=0, back_s=3600)
        (content,) = await garbage(store, "content")
        assert await store.backups.holds() == []
        assert not await store.backups.renew("dead", hold_s=3600)
        assert not await store.backups.renew("never", hold_s=3600)
        assert [blob.key for blob in await claim(store)] == [blob_key(content)]

    async def test_a_hold_is_renewed(self, store: MetadataStore) -> None:
        """For so long from now, and it goes on to hold what it did."""
        first = await store.backups.hold("b", hold_s=60, back_s=1)
        assert await store.backups.renew("b", hold_s=3600)
        (renewed,) = await store.backups.holds()
        assert (renewed.name, renewed.since) == ("b", first.since)
        assert renewed.expires_at is not None and first.expires_at is not None
        assert renewed.expires_at > first.expires_at

    async def test_a_claim_from_before_is_carried_out(self, store: MetadataStore) -> None:
        """A hold does not stand between a claim and its removal."""
        (content,) = await garbage(store, "claimed")
        claimed = await claim(store)
        await store.backups.hold("b", hold_s=3600, back_s=3600)
        removal = await store.blobs.remove([blob.key for blob in claimed], move_all)
        assert [blob.key for blob in removal.removed] == [blob_key(content)]

    # -- snapshots ----------------------------------------------------------------------------

    async def test_a_snapshot_sees_nothing_that_comes_later(self, store: MetadataStore) -> None:
        """Neither what is added nor what is deleted while it is read."""
        content = make_content("kept")
        kept = (await store_object(store, make_intent("k"), content)).object
        async with await store.backups.snapshot() as snapshot:
            assert snapshot.taken_at.utcoffset() is not None
            await store.objects.delete(TENANT, kept.id)
            await store_object(store, make_intent("k"), make_content("new"))
            await store.api_keys.create(make_api_key())
            found = [*await snapshot.read(1), *await snapshot.read(100)]
            assert await snapshot.read(100) == []
        blob, stored = found
        assert isinstance(blob, SavedBlob) and isinstance(stored, StoredObject)
        assert (blob.key, blob.references, blob.locator) == (blob_key(content), 1, None)
        assert (stored.id, stored.locator) == (kept.id, None)
        await snapshot.aclose()

    async def test_only_what_clients_see_is_in_a_snapshot(self, store: MetadataStore) -> None:
        """No upload under way, no garbage, no tombstone; a count without uploads."""
        content = make_content("shared")
        await begin(store, make_intent())
        lease = await begin(store, make_intent())
        await store.objects.reserve(lease, content)
        await garbage(store, "garbage")
        stored = (await store_object(store, make_intent(), content)).object
        blob, only = await records_of(store)
        assert isinstance(blob, SavedBlob) and blob.references == 1
        assert isinstance(only, StoredObject) and only.id == stored.id

    async def test_answers_are_in_a_snapshot(self, store: MetadataStore) -> None:
        """A request that is sent again after a restore gets its first answer."""
        key = IdempotencyKey(text="again", request="r", ttl_s=3600)
        intent = replace(make_intent(), idempotency=key)
        committed = await store_object(store, intent)
        (answer,) = [each for each in await records_of(store) if isinstance(each, SavedAnswer)]
        assert (answer.tenant_id, answer.text, answer.request) == (TENANT, "again", "r")
        assert answer.upload_id == committed.object.id
        assert answer.answer == encode_answer(committed)

    async def test_several_snapshots_at_once(self, store: MetadataStore) -> None:
        """Each has its own instant; leaving one early does nothing to another."""
        await store_object(store)
        async with await store.backups.snapshot() as first:
            await store_object(store)
            async with await store.backups.snapshot() as second:
                await second.read(1)
            assert len(await first.read(100)) == 2

    # -- restores -----------------------------------------------------------------------------

    async def test_nothing_is_put_beside_objects(self, store: MetadataStore) -> None:
        """Whatever their status: a store that was in use is not restored into."""
        lease = await begin(store, make_intent())
        with pytest.raises(InvalidState, match="objects"):
            await store.backups.begin_restore("r")
        await store.objects.abort(lease)
        with pytest.raises(InvalidState, match="objects"):
            await store.backups.begin_restore("r")
        assert await store.backups.holds() == []

    async def test_one_restore_at_a_time(self, store: MetadataStore) -> None:
        """One that was interrupted goes on, another one does not begin beside it."""
        await store.backups.hold("a backup", hold_s=60, back_s=0)
        assert not await store.backups.begin_restore("r")
        content = make_content("x")
        await store.backups.restore(placed([saved_blob(content), saved_object(content)]))
        assert await store.backups.begin_restore("r")
        with pytest.raises(InvalidState, match="another restore"):
            await store.backups.begin_restore("other")
        await store.backups.end_restore("r")
        assert [each.name for each in await store.backups.holds()] == ["a backup"]
        with pytest.raises(InvalidState, match="objects"):
            await store.backups.begin_restore("r")

    @pytest.mark.parametrize("what", ["hash", "key", "blob", "late"])
    async def test_contradictions_are_refused(self, store: MetadataStore, what: str) -> None:
        """And nothing of such records is put back."""
        content = make_content("x")
        api_key = make_api_key()
        before: Sequence[Record] = []
        wrong: Sequence[Record]
        if what == "hash":
            wrong = [api_key, replace(make_api_key(), hashed=api_key.hashed)]
        elif what == "key":
            objects = [saved_object(content, "k"), saved_object(content, "k")]
            wrong = [saved_blob(content, 2), *objects]
        elif what == "blob":
            wrong = [saved_blob(make_content("y")), saved_object(content)]
        else:
            before = [saved_blob(content, 2), saved_object(content, "k")]
            wrong = [make_api_key(), saved_object(content, "k")]
        await store.backups.begin_restore("r")
        if before:
            await store.backups.restore(placed(before))
        with pytest.raises(InvalidState):
            await store.backups.restore(wrong)
        assert await store.api_keys.page(after=None, limit=9) == []
        assert len(await store.objects.scan(after=None, limit=9)) == len(before[1:])
        if before:
            await store.backups.restore([saved_object(content)])  # what the count promises

    async def test_a_state_comes_back_as_it_was(self, store: MetadataStore) -> None:
        """Record for record, however often each part is put back."""
        state = a_state()
        assert not await store.backups.begin_restore("r")
        for record in placed(state):
            await store.backups.restore([record])
        await store.backups.restore(placed(state))
        assert await store.backups.begin_restore("r")
        await store.backups.restore(state)
        await store.backups.end_restore("r")
        assert await records_of(store) == state

    async def test_a_key_that_was_made_anew_gives_way(self, store: MetadataStore) -> None:
        """A service registers its configured key before the state has a chance to come back."""
        api_key = make_api_key()
        await store.api_keys.create(replace(make_api_key(), hashed=api_key.hashed))
        await store.backups.begin_restore("r")
        for _ in range(2):
            await store.backups.restore([api_key])
        await store.backups.end_restore("r")
        assert await store.api_keys.page(after=None, limit=9) == [api_key]
        assert await store.api_keys.find_by_hash(api_key.hashed) == api_key

    async def test_a_restored_state_is_in_order(self, store: MetadataStore) -> None:
        """Counts, usage, keys and credentials are what they would be had it grown here."""
        state = a_state()
        await store.backups.begin_restore("r")
        await store.backups.restore(placed(state))
        await store.backups.end_restore("r")
        usage = await store.usage.of(TENANT)
        assert (usage.objects, usage.logical_bytes, usage.physical_bytes) == (3, 9, 6)
        with pytest.raises(PreconditionFailed):
            await begin(
                store, replace(make_intent("k"), conditions=Conditions(if_none_match=frozenset()))
            )
        api_key = state[0]
        assert isinstance(api_key, ApiKey)
        assert await store.api_keys.find_by_hash(api_key.hashed) == api_key
        objects = [each for each in state if isinstance(each, StoredObject)]
        await store.objects.delete_many(TENANT, [each.id for each in objects])
        assert (await blob_of(store, make_content("one"))).ref_count == 0

    async def test_new_events_come_behind_restored_ones(self, options: Any) -> None:
        """Ids go on ascending."""
        async with self.opened(options, audit=True) as store:
            await store.backups.begin_restore("r")
            (event,) = [each for each in a_state() if isinstance(each, AuditEvent)]
            await store.backups.restore([event])
            await store.backups.end_restore("r")
            await store_object(store)
            first, second = await store.audit.page(after=0, limit=9)
            assert first == event and second.id > event.id

    async def test_a_restored_blob_is_stored_when_that_is_said(self, store: MetadataStore) -> None:
        """Not before its bytes are placed, and from then on whatever is put back once more."""
        content = make_content("x")
        blob, stored = saved_blob(content), saved_object(content)
        await store.backups.begin_restore("r")
        await store.backups.restore([blob, stored])
        row = await blob_of(store, content)
        assert (row.ref_count, row.stored_at, row.locator) == (1, None, None)
        found = await store.objects.find(TENANT, stored.id)
        assert found == stored
        await store.backups.restore([replace(blob, locator=locator_of(content))])
        await store.backups.restore([blob])
        row = await blob_of(store, content)
        assert row.stored_at is not None and row.locator == locator_of(content)
        found = await store.objects.find(TENANT, stored.id)
        assert found == replace(stored, locator=locator_of(content))

    async def test_a_restore_takes_garbage_back(self, store: MetadataStore) -> None:
        """A blob that was adopted, and even claimed, belongs to the state that names it."""
        content = make_content("x")
        key = BlobKey(content.content_hash, StorageClass.HOT)
        await store.blobs.adopt(key, size_bytes=1, locator="adopted")
        await claim(store)
        await store.backups.begin_restore("r")
        await store.backups.restore(placed([saved_blob(content), saved_object(content)]))
        removal = await store.blobs.remove([key], move_all)
        assert removal.removed == []
        assert (await blob_of(store, content)).ref_count == 1
        # What is found beside the state is not claimed before it is complete.
        await store.blobs.adopt(blob_key(make_content("beside")), size_bytes=6, locator="beside")
        assert await claim(store) == []
        await store.backups.end_restore("r")
        assert len(await claim(store)) == 1
        assert await object_by_id(store, ObjectId.new()) is None
