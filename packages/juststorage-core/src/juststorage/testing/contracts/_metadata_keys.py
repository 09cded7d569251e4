"""Keys: who holds one, who gets it, under which conditions (R07)."""

from __future__ import annotations

import anyio
import pytest

from juststorage.domain import Conditions, ContentHash, ObjectKey, ObjectStatus
from juststorage.errors import KeyConflict, NotFound, PreconditionFailed, UploadExpired
from juststorage.ports import Committed, MetadataStore, Reservation, UploadIntent
from juststorage.testing._builders import (
    LEASE_S,
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

__all__ = ["MetadataKeys"]

KEY = ObjectKey("k")
CREATE_ONLY = Conditions(if_none_match=frozenset())
MUST_EXIST = Conditions(if_match=frozenset())


def _match(*hashes: ContentHash) -> Conditions:
    return Conditions(if_match=frozenset(hashes))


def _put(conditions: Conditions = Conditions()) -> UploadIntent:  # noqa: B008  frozen
    return make_intent("k", replace=True, conditions=conditions)


class MetadataKeys(MetadataTests):
    """Failures first."""

    async def test_a_committed_object_holds_its_key(self, store: MetadataStore) -> None:
        """A POST on a live key is refused at begin and told who holds it."""
        holder = (await store_object(store, make_intent("k"), make_content("held"))).object

        async def begin_known() -> object:
            return await store.objects.begin_reserved(
                make_intent("k"), make_content("held"), lease_s=LEASE_S
            )

        for attempt in (begin(store, make_intent("k")), begin_known()):
            with pytest.raises(KeyConflict) as conflict:
                await attempt
            assert conflict.value.fields["object_id"] == holder.id
            assert conflict.value.fields["content_hash"] == holder.content_hash
        assert await scan_objects(store) == [holder]
        assert (await blob_of(store, make_content("held"))).ref_count == 1

    @pytest.mark.parametrize("reserved", [False, True])
    async def test_a_writing_post_holds_its_key(self, store: MetadataStore, reserved: bool) -> None:
        """While it is WRITING its hash is not told, reserved or not."""
        lease = await begin(store, make_intent("k"))
        if reserved:
            await store.objects.reserve(lease, make_content("not told"))
        with pytest.raises(KeyConflict) as conflict:
            await begin(store, make_intent("k"))
        assert conflict.value.fields == {"object_id": lease.object.id, "content_hash": None}
        assert len(await scan_objects(store)) == 1

    async def test_a_writing_put_holds_nothing(self, store: MetadataStore) -> None:
        """A PUT claims its key only by its commit, so a POST may go first."""
        put = await reserve(store, _put())
        posted = await store_object(store, make_intent("k"))
        replaced = await store.objects.commit(put.lease, "placed/put")
        assert replaced.replaced == posted.object.id

    async def test_a_key_without_a_name_conflicts_with_nothing(self, store: MetadataStore) -> None:
        """Objects without a key, and equal keys elsewhere, live side by side."""
        for intent in (
            make_intent(),
            make_intent(),
            make_intent("k"),
            make_intent("k", namespace="other"),
            make_intent("k", tenant_id="globex"),
            make_intent("K"),
            make_intent("k "),
        ):
            await store_object(store, intent)
        assert len(await scan_objects(store)) == 7

    @pytest.mark.parametrize("by_content", [False, True])
    async def test_an_upload_whose_lease_is_over_is_taken_over(
        self, store: MetadataStore, by_content: bool
    ) -> None:
        """A POST does not wait for the reaper: the old upload ends, its reference goes."""
        content = make_content("abandoned")
        old = await reserve(store, make_intent("k"), content, lease_s=0)
        if by_content:
            begun = await store.objects.begin_reserved(
                make_intent("k"), make_content("new"), lease_s=LEASE_S
            )
            assert isinstance(begun, Reservation)
        else:
            await begin(store, make_intent("k"))
        assert await status_of(store, old.lease.object.id) is ObjectStatus.DELETED
        assert (await blob_of(store, content)).ref_count == 0
        with pytest.raises(UploadExpired):
            await store.objects.commit(old.lease, "placed/late")
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) is None

    async def test_taking_over_with_the_same_content(self, store: MetadataStore) -> None:
        """The old upload and the new one may count on one blob; the count ends right."""
        content = make_content("same")
        await reserve(store, make_intent("k"), content, lease_s=0)
        begun = await store.objects.begin_reserved(make_intent("k"), content, lease_s=LEASE_S)
        assert isinstance(begun, Reservation)
        assert (await blob_of(store, content)).ref_count == 1

    async def test_what_ends_frees_the_key(self, store: MetadataStore) -> None:
        """Abort, reap and delete free the key at once."""
        lease = await begin(store, make_intent("k"))
        await store.objects.abort(lease)
        lease = await begin(store, make_intent("k"), lease_s=0)
        await store.objects.reap(limit=10)
        committed = await store_object(store, make_intent("k"))
        await store.objects.delete(TENANT, committed.object.id)
        again = await store_object(store, make_intent("k"))
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == again.object

    async def test_a_put_replaces(self, store: MetadataStore) -> None:
        """The old object goes DELETING with its reference; the key leads to the new one."""
        old = (await store_object(store, make_intent("k"), make_content("old"))).object
        new = await store_object(store, _put(), make_content("new"))
        assert new.replaced == old.id
        assert await store.objects.find(TENANT, old.id) is None
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == new.object
        assert await status_of(store, old.id) is ObjectStatus.DELETING
        old_blob = await blob_of(store, make_content("old"))
        assert old_blob.ref_count == 0
        assert old_blob.zero_since is not None

    async def test_a_put_on_a_free_key_creates(self, store: MetadataStore) -> None:
        """Nothing was replaced."""
        new = await store_object(store, _put())
        assert new.replaced is None
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == new.object

    async def test_a_put_of_the_same_content(self, store: MetadataStore) -> None:
        """Replacing by equal bytes is at once, is a new object, and keeps the count at one."""
        content = make_content("same")
        old = (await store_object(store, make_intent("k"), content)).object
        new = await store.objects.begin_reserved(_put(), content, lease_s=LEASE_S)
        assert isinstance(new, Committed)
        assert new.replaced == old.id
        assert new.object.id != old.id
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.zero_since) == (1, None)

    async def test_a_put_drops_the_claim_of_a_post(self, store: MetadataStore) -> None:
        """A POST still WRITING loses its key to a PUT, and hears of it at its commit."""
        post = await reserve(store, make_intent("k"), make_content("post"))
        put = await store_object(store, _put(), make_content("put"))
        assert put.replaced is None
        with pytest.raises(UploadExpired):
            await store.objects.commit(post.lease, "placed/post")
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == put.object
        await store.objects.abort(post.lease)
        assert (await blob_of(store, make_content("post"))).ref_count == 0
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == put.object

    async def test_a_dropped_claim_does_not_come_back(self, store: MetadataStore) -> None:
        """The POST stays lost although the PUT's object is deleted again and another came."""
        post = await reserve(store, make_intent("k"), make_content("post"))
        put = await store_object(store, _put())
        await store.objects.delete(TENANT, put.object.id)
        with pytest.raises(UploadExpired):
            await store.objects.commit(post.lease, "placed/post")
        other = await store_object(store, make_intent("k"))
        with pytest.raises(UploadExpired):
            await store.objects.commit(post.lease, "placed/post")
        await store.objects.abort(post.lease)
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == other.object

    async def test_the_last_committer_stays(self, store: MetadataStore) -> None:
        """Two unconditional PUTs both succeed."""
        first, second = await reserve(store, _put()), await reserve(store, _put())
        late = await store.objects.commit(second.lease, "placed/2")
        last = await store.objects.commit(first.lease, "placed/1")
        assert (late.replaced, last.replaced) == (None, late.object.id)
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == last.object

    async def test_conditions_spare_the_body(self, store: MetadataStore) -> None:
        """What cannot commit is refused at begin, before the key conflict, and leaves nothing."""
        wrong = make_content("wrong").content_hash
        for conditions in (MUST_EXIST, _match(wrong)):
            with pytest.raises(PreconditionFailed):
                await begin(store, _put(conditions))
        held = (await store_object(store, make_intent("k"), make_content("held"))).object
        assert held.content_hash is not None
        for intent in (
            _put(CREATE_ONLY),
            _put(_match(wrong)),
            _put(Conditions(if_none_match=frozenset({held.content_hash, wrong}))),
            make_intent("k", conditions=CREATE_ONLY),
        ):
            with pytest.raises(PreconditionFailed):
                await begin(store, intent)
            with pytest.raises(PreconditionFailed):
                await store.objects.begin_reserved(intent, make_content("held"), lease_s=LEASE_S)
        assert await scan_objects(store) == [held]
        assert (await blob_of(store, make_content("held"))).ref_count == 1

    async def test_conditions_that_hold(self, store: MetadataStore) -> None:
        """Create-only on a free key, and a match of the current tag among others."""
        first = (await store_object(store, _put(CREATE_ONLY), make_content("1"))).object
        other = make_content("other").content_hash
        assert first.content_hash is not None
        second = await store_object(
            store, _put(_match(other, first.content_hash)), make_content("2")
        )
        assert second.replaced == first.id
        third = await store_object(store, _put(MUST_EXIST), make_content("3"))
        assert third.replaced == second.object.id
        none_of = Conditions(if_none_match=frozenset({other}))
        fourth = await store_object(store, _put(none_of), make_content("4"))
        assert fourth.replaced == third.object.id

    async def test_a_writing_claim_does_not_exist_for_conditions(
        self, store: MetadataStore
    ) -> None:
        """Conditions are judged on what is COMMITTED."""
        await begin(store, make_intent("k"))
        with pytest.raises(PreconditionFailed):
            await begin(store, _put(MUST_EXIST))
        created = await store_object(store, _put(CREATE_ONLY))
        assert created.replaced is None

    async def test_conditions_count_at_commit(self, store: MetadataStore) -> None:
        """What held at begin and does not hold at commit fails there and changes nothing."""
        create = await reserve(store, _put(CREATE_ONLY), make_content("create"))
        held = (await store_object(store, make_intent("k"), make_content("held"))).object
        assert held.content_hash is not None
        swap = await reserve(store, _put(_match(held.content_hash)), make_content("swap"))
        newer = await store_object(store, _put(), make_content("newer"))
        for lost in (create, swap):
            with pytest.raises(PreconditionFailed):
                await store.objects.commit(lost.lease, "placed/lost")
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == newer.object
        assert (await blob_of(store, make_content("create"))).stored_at is None
        await store.objects.delete(TENANT, newer.object.id)
        created = await store.objects.commit(create.lease, "placed/create")
        assert created.replaced is None

    async def test_of_many_swaps_one_wins(self, store: MetadataStore) -> None:
        """N commits at once that all expect the same tag: one succeeds, whoever it is."""
        held = (await store_object(store, make_intent("k"), make_content("held"))).object
        assert held.content_hash is not None
        swaps = [
            await reserve(store, _put(_match(held.content_hash)), make_content(f"swap {turn}"))
            for turn in range(8)
        ]
        won, lost = await _commit_all(store, swaps)
        assert (len(won), lost) == (1, 7)
        assert won[0].replaced == held.id
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) == won[0].object

    async def test_of_many_creations_one_wins(self, store: MetadataStore) -> None:
        """N create-only PUTs at once: one succeeds."""
        puts = [await reserve(store, _put(CREATE_ONLY)) for _ in range(8)]
        won, lost = await _commit_all(store, puts)
        assert (len(won), lost) == (1, 7)
        assert won[0].replaced is None

    async def test_many_replacements_at_once(self, store: MetadataStore) -> None:
        """N unconditional PUTs at once all succeed, each replacing another, none twice."""
        puts = [await reserve(store, _put()) for _ in range(8)]
        won, lost = await _commit_all(store, puts)
        assert (len(won), lost) == (8, 0)
        replaced = [each.replaced for each in won]
        assert len(set(replaced)) == 8 and None in replaced
        last = await store.objects.find_by_key(TENANT, NAMESPACE, KEY)
        assert last is not None and last.id not in replaced

    async def test_many_posts_at_once(self, store: MetadataStore) -> None:
        """N POSTs begin at once: one gets the key, the others hear who."""
        begun: list[str] = []
        refused: list[str] = []

        async def post() -> None:
            try:
                begun.append((await begin(store, make_intent("k"))).object.id)
            except KeyConflict as conflict:
                refused.append(conflict.fields["object_id"])

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(post)
        assert len(begun) == 1
        assert refused == begun * 7

    async def test_deleting_by_key(self, store: MetadataStore) -> None:
        """The COMMITTED holder goes; a claim is nothing to delete; conditions come first."""
        with pytest.raises(NotFound):
            await store.objects.delete_by_key(TENANT, NAMESPACE, KEY)
        with pytest.raises(PreconditionFailed):
            await store.objects.delete_by_key(TENANT, NAMESPACE, KEY, conditions=MUST_EXIST)
        lease = await begin(store, make_intent("k"))
        with pytest.raises(NotFound):
            await store.objects.delete_by_key(TENANT, NAMESPACE, KEY)
        await store.objects.abort(lease)
        content = make_content("held")
        held = (await store_object(store, make_intent("k"), content)).object
        wrong = _match(make_content("wrong").content_hash)
        with pytest.raises(PreconditionFailed):
            await store.objects.delete_by_key(TENANT, NAMESPACE, KEY, conditions=wrong)
        assert await store.objects.find(TENANT, held.id) == held
        right = _match(content.content_hash)
        deleted = await store.objects.delete_by_key(TENANT, NAMESPACE, KEY, conditions=right)
        assert (deleted.id, deleted.status) == (held.id, ObjectStatus.DELETING)
        assert await store.objects.find_by_key(TENANT, NAMESPACE, KEY) is None
        assert (await blob_of(store, content)).ref_count == 0


async def _commit_all(
    store: MetadataStore, reservations: list[Reservation]
) -> tuple[list[Committed], int]:
    """Commit all at once; who won, and how many failed their conditions."""
    won: list[Committed] = []
    lost: list[str] = []

    async def commit(reservation: Reservation) -> None:
        try:
            locator = f"placed/{reservation.lease.object.content_hash}"
            won.append(await store.objects.commit(reservation.lease, locator))
        except PreconditionFailed:
            lost.append(reservation.lease.object.id)

    async with anyio.create_task_group() as tasks:
        for reservation in reservations:
            tasks.start_soon(commit, reservation)
    return won, len(lost)
