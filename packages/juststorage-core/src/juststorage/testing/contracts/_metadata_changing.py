"""Reading, changing, moving and deleting committed objects."""

from __future__ import annotations

import pytest

from juststorage.domain import (
    Change,
    Conditions,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StorageClass,
    TenantId,
)
from juststorage.errors import (
    InvalidMetadata,
    InvalidState,
    KeyConflict,
    NotFound,
    PreconditionFailed,
    UploadExpired,
)
from juststorage.ports import MetadataStore
from juststorage.testing._builders import (
    NAMESPACE,
    TENANT,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    begin,
    blob_of,
    reserve,
    scan_objects,
    status_of,
)

__all__ = ["MetadataChanging"]

OTHER = TenantId("globex")
WRONG = Conditions(if_match=frozenset({make_content("wrong").content_hash}))


class MetadataChanging(MetadataTests):
    """Failures first."""

    async def test_nothing_reaches_another_tenant(self, store: MetadataStore) -> None:
        """An id or a key of one tenant is unknown to another (I11)."""
        mine = (await store_object(store, make_intent("k"))).object
        key = ObjectKey("k")
        assert await store.objects.find(OTHER, mine.id) is None
        assert await store.objects.find_by_key(OTHER, NAMESPACE, key) is None
        with pytest.raises(NotFound):
            await store.objects.update(OTHER, mine.id, Change(content_type="x/y"))
        with pytest.raises(NotFound):
            await store.objects.delete(OTHER, mine.id)
        with pytest.raises(NotFound):
            await store.objects.delete_by_key(OTHER, NAMESPACE, key)
        assert await store.objects.delete_many(OTHER, [mine.id]) == set()
        assert await store.objects.find(TENANT, mine.id) == mine

    async def test_only_committed_objects_are_there(self, store: MetadataStore) -> None:
        """WRITING, DELETING and DELETED objects are found by nobody and changed by nobody."""
        writing = await reserve(store, make_intent("k"))
        deleting = (await store_object(store, make_intent("d"))).object
        await store.objects.delete(TENANT, deleting.id)
        aborted = await begin(store, make_intent("a"))
        await store.objects.abort(aborted)
        before = await scan_objects(store)
        for object_id in (
            writing.lease.object.id,
            deleting.id,
            aborted.object.id,
            ObjectId.new(),
        ):
            assert await store.objects.find(TENANT, object_id) is None
            with pytest.raises(NotFound):
                await store.objects.update(TENANT, object_id, Change(content_type="x/y"))
            with pytest.raises(NotFound):
                await store.objects.delete(TENANT, object_id)
            assert await store.objects.delete_many(TENANT, [object_id]) == set()
        assert await scan_objects(store) == before

    async def test_finding_gives_the_whole_object(self, store: MetadataStore) -> None:
        """By id and by key, with every field and the blob's locator."""
        intent = make_intent(
            "dir/ü \N{GRINNING FACE}.bin",
            content_type="text/plain; charset=utf-8",
            metadata={"a": [1, 2.5, None, True, {"b": "ü\N{GRINNING FACE}"}], "": "'\"\\"},
        )
        stored = (await store_object(store, intent, locator="placed/here")).object
        assert intent.new.key is not None
        by_key = await store.objects.find_by_key(TENANT, NAMESPACE, intent.new.key)
        assert await store.objects.find(TENANT, stored.id) == stored == by_key
        assert stored.locator == "placed/here"
        assert stored.key == intent.new.key
        assert stored.content_type == "text/plain; charset=utf-8"
        assert stored.metadata.value == intent.new.metadata.value
        for time in (stored.created_at, stored.updated_at):
            assert time.utcoffset() is not None

    async def test_changing_the_key(self, store: MetadataStore) -> None:
        """A key can be given, changed and removed; the old one is free at once."""
        stored = (await store_object(store)).object
        named = await store.objects.update(TENANT, stored.id, Change(key=ObjectKey("a")))
        assert named.key == "a"
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("a")) == named
        moved = await store.objects.update(TENANT, stored.id, Change(key=ObjectKey("b")))
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("a")) is None
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("b")) == moved
        same = await store.objects.update(TENANT, stored.id, Change(key=ObjectKey("b")))
        assert same.key == "b"
        bare = await store.objects.update(TENANT, stored.id, Change(key=None))
        assert bare.key is None
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("b")) is None
        await store_object(store, make_intent("a"))
        await store_object(store, make_intent("b"))

    async def test_a_new_key_must_be_free(self, store: MetadataStore) -> None:
        """A key that another object holds is refused, and the whole change with it."""
        stored = (await store_object(store, make_intent("mine"))).object
        holder = (await store_object(store, make_intent("held"), make_content("h"))).object
        writing = await begin(store, make_intent("claimed"))
        for key, object_id, content_hash in (
            ("held", holder.id, holder.content_hash),
            ("claimed", writing.object.id, None),
        ):
            with pytest.raises(KeyConflict) as conflict:
                await store.objects.update(
                    TENANT, stored.id, Change(key=ObjectKey(key), content_type="x/y")
                )
            assert conflict.value.fields == {
                "object_id": object_id,
                "content_hash": content_hash,
            }
        assert await store.objects.find(TENANT, stored.id) == stored
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("mine")) == stored

    async def test_changing_type_and_metadata(self, store: MetadataStore) -> None:
        """A merge patch over the metadata; what is unset stays; updated_at moves on."""
        intent = make_intent("k", metadata={"a": {"b": 1, "c": 2}, "d": [1]})
        stored = (await store_object(store, intent)).object
        patch = {"a": {"b": None, "e": "new"}, "d": {"f": True}}
        changed = await store.objects.update(
            TENANT, stored.id, Change(content_type="text/x", merge_metadata=patch)
        )
        assert changed.metadata.value == {"a": {"c": 2, "e": "new"}, "d": {"f": True}}
        assert (changed.content_type, changed.key) == ("text/x", "k")
        assert changed.updated_at > stored.updated_at
        assert changed.created_at == stored.created_at
        assert (changed.content_hash, changed.locator) == (stored.content_hash, stored.locator)
        assert await store.objects.find(TENANT, stored.id) == changed
        reset = await store.objects.update(TENANT, stored.id, Change(merge_metadata=None))
        assert reset.metadata.value == {}
        assert reset.content_type == "text/x"

    async def test_a_patch_must_leave_good_metadata(self, store: MetadataStore) -> None:
        """A result over the limit is refused and changes nothing."""
        intent = make_intent("k", metadata={"a": "x" * 10_000})
        stored = (await store_object(store, intent)).object
        with pytest.raises(InvalidMetadata):
            await store.objects.update(
                TENANT,
                stored.id,
                Change(key=ObjectKey("other"), merge_metadata={"b": "x" * 10_000}),
            )
        assert await store.objects.find(TENANT, stored.id) == stored
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("other")) is None

    async def test_conditions_on_changes(self, store: MetadataStore) -> None:
        """Update and delete compare the tag in the same transaction."""
        content = make_content("tagged")
        stored = (await store_object(store, make_intent("k"), content)).object
        with pytest.raises(PreconditionFailed):
            await store.objects.update(
                TENANT, stored.id, Change(content_type="x/y"), conditions=WRONG
            )
        with pytest.raises(PreconditionFailed):
            await store.objects.delete(TENANT, stored.id, conditions=WRONG)
        assert await store.objects.find(TENANT, stored.id) == stored
        with pytest.raises(NotFound):
            await store.objects.delete(TENANT, ObjectId.new(), conditions=WRONG)
        right = Conditions(if_match=frozenset({content.content_hash}))
        await store.objects.update(TENANT, stored.id, Change(content_type="x/y"), conditions=right)
        await store.objects.delete(TENANT, stored.id, conditions=right)

    async def test_deleting(self, store: MetadataStore) -> None:
        """The object is DELETING and invisible, its reference released, its hash kept."""
        content = make_content("shared")
        stored = (await store_object(store, make_intent("k"), content)).object
        other = (await store_object(store, make_intent("other"), content)).object
        deleted = await store.objects.delete(TENANT, stored.id)
        assert (deleted.id, deleted.status) == (stored.id, ObjectStatus.DELETING)
        assert deleted.content_hash == content.content_hash
        assert await store.objects.find(TENANT, stored.id) is None
        with pytest.raises(NotFound):
            await store.objects.delete(TENANT, stored.id)
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.zero_since) == (1, None)
        await store.objects.delete(TENANT, other.id)
        blob = await blob_of(store, content)
        assert blob.ref_count == 0
        assert blob.zero_since is not None and blob.stored_at is not None

    async def test_deleting_many(self, store: MetadataStore) -> None:
        """Those that are there go, an id twice counts once, foreign namespaces stay."""
        content = make_content("shared")
        here = [(await store_object(store, make_intent(), content)).object for _ in range(4)]
        there = (await store_object(store, make_intent(namespace="there"), content)).object
        foreign = (await store_object(store, make_intent(tenant_id=OTHER), content)).object
        gone = here[0]
        await store.objects.delete(TENANT, gone.id)
        asked = [each.id for each in (*here, there, foreign)] + [here[1].id, ObjectId.new()]
        deleted = await store.objects.delete_many(TENANT, asked, namespaces={NAMESPACE})
        assert deleted == {each.id for each in here[1:]}
        assert (await blob_of(store, content)).ref_count == 2
        assert await store.objects.delete_many(TENANT, [there.id], namespaces=[]) == set()
        elsewhere = {Namespace("elsewhere"), NAMESPACE}
        assert await store.objects.delete_many(TENANT, asked, namespaces=elsewhere) == set()
        prefixes = {NamespacePattern("her*"), NamespacePattern("th_r*"), NAMESPACE}
        assert await store.objects.delete_many(TENANT, asked, namespaces=prefixes) == set()
        begin = {NamespacePattern("the*")}
        assert await store.objects.delete_many(TENANT, asked, namespaces=begin) == {there.id}
        assert await store.objects.delete_many(TENANT, asked) == set()
        assert await store.objects.delete_many(TENANT, []) == set()
        assert await store.objects.find(OTHER, foreign.id) == foreign

    async def test_moving_to_another_class(self, store: MetadataStore) -> None:
        """The upload's reference is handed over, the old one released, the upload ends."""
        content = make_content("moving")
        stored = (await store_object(store, make_intent("k"), content, locator="hot/1")).object
        upload = await reserve(store, make_intent(storage_class=StorageClass.COLD), content)
        right = Conditions(if_match=frozenset({content.content_hash}))
        moved = await store.objects.commit_move(
            upload.lease, "cold/1", object_id=stored.id, conditions=right
        )
        assert moved.storage_class is StorageClass.COLD
        assert (moved.locator, moved.key) == ("cold/1", "k")
        assert moved.updated_at > stored.updated_at
        assert await store.objects.find(TENANT, stored.id) == moved
        assert await status_of(store, upload.lease.object.id) is ObjectStatus.DELETED
        hot, cold = await blob_of(store, content), await blob_of(store, content, StorageClass.COLD)
        assert (hot.ref_count, cold.ref_count) == (0, 1)
        assert hot.zero_since is not None and cold.stored_at is not None

    async def test_moving_with_other_changes(self, store: MetadataStore) -> None:
        """All of them happen in the transaction of the move, or none does."""
        content = make_content("moving")
        intent = make_intent("k", metadata={"a": 1})
        stored = (await store_object(store, intent, content)).object
        held = (await store_object(store, make_intent("held"))).object
        upload = await reserve(store, make_intent(storage_class=StorageClass.COLD), content)
        before = await scan_objects(store)
        for change, error in (
            (Change(key=ObjectKey("held"), content_type="x/y"), KeyConflict),
            (Change(key=ObjectKey("new"), merge_metadata={"b": "x" * 20_000}), InvalidMetadata),
        ):
            with pytest.raises(error):
                await store.objects.commit_move(
                    upload.lease, "cold/1", object_id=stored.id, change=change
                )
            assert await scan_objects(store) == before
        change = Change(key=ObjectKey("new"), content_type="x/y", merge_metadata={"b": 2})
        moved = await store.objects.commit_move(
            upload.lease, "cold/1", object_id=stored.id, change=change
        )
        assert (moved.key, moved.content_type, moved.storage_class) == ("new", "x/y", "cold")
        assert moved.metadata.value == {"a": 1, "b": 2}
        assert await store.objects.find(TENANT, stored.id) == moved
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("new")) == moved
        assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey("k")) is None
        assert await store.objects.find(TENANT, held.id) == held

    async def test_two_moves_at_once(self, store: MetadataStore) -> None:
        """Both copies were reserved; the second hands its reference over too, and none leaks."""
        content = make_content("moving")
        stored = (await store_object(store, make_intent("k"), content)).object
        uploads = [
            await reserve(store, make_intent(storage_class=StorageClass.COLD), content)
            for _ in range(2)
        ]
        assert (await blob_of(store, content, StorageClass.COLD)).ref_count == 2
        for upload in uploads:
            moved = await store.objects.commit_move(upload.lease, "cold/1", object_id=stored.id)
            assert moved.storage_class is StorageClass.COLD
        hot, cold = await blob_of(store, content), await blob_of(store, content, StorageClass.COLD)
        assert (hot.ref_count, cold.ref_count) == (0, 1)

    async def test_moving_onto_a_copy_that_is_there(self, store: MetadataStore) -> None:
        """The other class may hold these bytes already; the count there rises by one."""
        content = make_content("moving")
        cold_intent = make_intent(storage_class=StorageClass.COLD)
        await store_object(store, cold_intent, content, locator="cold/first")
        stored = (await store_object(store, make_intent("k"), content, locator="hot/1")).object
        upload = await reserve(store, make_intent(storage_class=StorageClass.COLD), content)
        assert upload.locator == "cold/first"
        moved = await store.objects.commit_move(upload.lease, upload.locator, object_id=stored.id)
        assert moved.locator == "cold/first"
        assert (await blob_of(store, content, StorageClass.COLD)).ref_count == 2

    async def test_a_move_that_cannot_be(self, store: MetadataStore) -> None:
        """A lost lease, an absent object, another tenant's, a wrong tag, other content."""
        content = make_content("moving")
        stored = (await store_object(store, make_intent("k"), content)).object
        foreign = (await store_object(store, make_intent(tenant_id=OTHER), content)).object
        cold = make_intent(storage_class=StorageClass.COLD)
        upload = await reserve(store, cold, content)
        strange = await reserve(
            store, make_intent(storage_class=StorageClass.COLD), make_content("strange")
        )
        before = await scan_objects(store)
        for object_id in (foreign.id, ObjectId.new(), upload.lease.object.id):
            with pytest.raises(NotFound):
                await store.objects.commit_move(upload.lease, "cold/1", object_id=object_id)
        with pytest.raises(PreconditionFailed):
            await store.objects.commit_move(
                upload.lease, "cold/1", object_id=stored.id, conditions=WRONG
            )
        with pytest.raises(InvalidState):
            await store.objects.commit_move(strange.lease, "cold/2", object_id=stored.id)
        assert await scan_objects(store) == before
        assert (await blob_of(store, content, StorageClass.COLD)).stored_at is None
        await store.objects.abort(upload.lease)
        with pytest.raises(UploadExpired):
            await store.objects.commit_move(upload.lease, "cold/1", object_id=stored.id)
        assert await store.objects.find(TENANT, stored.id) == stored
