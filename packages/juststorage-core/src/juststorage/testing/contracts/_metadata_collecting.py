"""Garbage: claims, removals under the row locks, adoption, tombstones, counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import anyio
import pytest

from juststorage.domain import Blob, BlobKey, ObjectStatus
from juststorage.errors import JustStorageError
from juststorage.ports import MetadataStore, Removal, Reservation
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
    always,
    blob_key,
    blob_of,
    claim,
    collect,
    garbage,
    move_all,
    reserve,
    scan_objects,
    status_of,
)

__all__ = ["MetadataCollecting"]


class _Stop(JustStorageError):
    """A failure of the test's own making; of the tree, so that the guard lets it pass."""


class MetadataCollecting(MetadataTests):
    """Failures first."""

    async def test_what_is_referred_to_is_never_claimed(self, store: MetadataStore) -> None:
        """A reservation and a committed object keep a blob."""
        await store_object(store)
        await reserve(store, make_intent())
        assert await claim(store) == []

    async def test_young_garbage_is_not_claimed(self, store: MetadataStore) -> None:
        """Before its grace is over a blob stays as it is."""
        (content,) = await garbage(store, "young")
        before = await blob_of(store, content)
        claimed = await store.blobs.claim(grace_s=3600, claim_s=60, limit=9, agree=always)
        assert claimed == []
        assert await blob_of(store, content) == before

    async def test_a_claim_unsets_stored_at(self, store: MetadataStore) -> None:
        """The claimed row comes back as it was, and from now on nobody relies on its bytes."""
        (content,) = await garbage(store, "claimed")
        before = await blob_of(store, content)
        assert before.stored_at is not None and before.zero_since is not None
        assert await claim(store) == [before]
        after = await blob_of(store, content)
        assert after.stored_at is None
        assert after.claimed_until is not None
        assert (after.locator, after.ref_count) == (locator_of(content), 0)

    async def test_a_running_claim_is_respected(self, store: MetadataStore) -> None:
        """Two collectors do not claim the same blob, until the first one's claim runs out (R05)."""
        (content,) = await garbage(store, "contested")
        first = await store.blobs.claim(grace_s=0, claim_s=0, limit=9, agree=always)
        assert [blob.key for blob in first] == [blob_key(content)]
        second = await claim(store)
        assert [blob.key for blob in second] == [blob_key(content)]
        assert await claim(store) == []

    async def test_the_policy_is_asked_once_each(self, store: MetadataStore) -> None:
        """Whom it keeps stays as it was and does not count toward the limit."""
        contents = await garbage(store, "a", "b", "c", "d")
        kept = blob_key(contents[0])
        before = await blob_of(store, contents[0])
        asked: list[BlobKey] = []

        def agree(blob: Blob, now: datetime) -> bool:
            assert now.utcoffset() is not None
            assert blob.zero_since is not None and blob.zero_since <= now
            asked.append(blob.key)
            return blob.key != kept

        claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=2, agree=agree)
        assert [blob.key for blob in claimed] == [blob_key(contents[1]), blob_key(contents[2])]
        assert len(asked) == len(set(asked)) and kept in asked
        assert await blob_of(store, contents[0]) == before

    async def test_a_failing_policy_claims_nothing(self, store: MetadataStore) -> None:
        """An error of the policy rolls the claim back."""
        contents = await garbage(store, "a", "b")
        before = await store.blobs.scan(after=None, limit=10)

        def agree(blob: Blob, now: datetime) -> bool:
            if blob.key == blob_key(contents[1]):
                raise _Stop("told to")
            return True

        with pytest.raises(_Stop):
            await store.blobs.claim(grace_s=0, claim_s=60, limit=9, agree=agree)
        assert await store.blobs.scan(after=None, limit=10) == before

    async def test_at_most_ten_times_the_limit_is_looked_at(self, store: MetadataStore) -> None:
        """A policy that keeps everything does not make one claim look at all rows."""
        await garbage(store, *(f"g{turn}" for turn in range(25)))
        asked: list[BlobKey] = []

        def agree(blob: Blob, now: datetime) -> bool:
            asked.append(blob.key)
            return False

        assert await store.blobs.claim(grace_s=0, claim_s=60, limit=2, agree=agree) == []
        assert len(asked) <= 20

    async def test_what_is_kept_hides_nothing(self, store: MetadataStore) -> None:
        """Going on behind the last one that was asked about comes past every candidate, once."""
        contents = await garbage(store, *(f"g{turn}" for turn in range(25)))
        wanted = set(map(blob_key, contents[-3:]))
        asked: list[Blob] = []

        def agree(blob: Blob, now: datetime) -> bool:
            asked.append(blob)
            return blob.key in wanted

        claimed: list[Blob] = []
        after: Blob | None = None
        for _ in range(25):
            before = len(asked)
            claimed += await store.blobs.claim(
                grace_s=0, claim_s=60, limit=1, agree=agree, after=after
            )
            if len(asked) == before:
                break
            after = asked[-1]
        assert {blob.key for blob in claimed} == wanted
        assert [blob.key for blob in asked] == [
            key for _, key in sorted((blob.zero_since, blob.key) for blob in asked)
        ]
        assert sorted(blob.key for blob in asked) == sorted(map(blob_key, contents))

    async def test_going_on_behind_garbage_of_the_same_instant(self, store: MetadataStore) -> None:
        """Objects that one call deletes leave garbage of one time: the key decides then."""
        objects = [(await store_object(store)).object for _ in range(7)]
        await store.objects.delete_many(TENANT, [each.id for each in objects])
        seen: list[BlobKey] = []
        after: Blob | None = None
        while found := await store.blobs.claim(
            grace_s=0, claim_s=60, limit=2, agree=always, after=after
        ):
            seen += [blob.key for blob in found]
            after = found[-1]
        assert len(seen) == len(set(seen)) == 7

    async def test_collecting_ends_blob_and_objects(self, store: MetadataStore) -> None:
        """The row goes, and the DELETING objects of the blob become tombstones."""
        content = make_content("gone")
        objects = [(await store_object(store, None, content)).object for _ in range(3)]
        other = await store_object(store)
        for each in objects:
            await store.objects.delete(TENANT, each.id)
        removal = await collect(store)
        assert [blob.key for blob in removal.removed] == [blob_key(content)]
        assert [blob.locator for blob in removal.removed] == [locator_of(content)]
        assert (removal.taken_back, removal.failed) == ([], [])
        assert await store.blobs.find([blob_key(content)]) == {}
        for each in objects:
            assert await status_of(store, each.id) is ObjectStatus.DELETED
        assert await status_of(store, other.object.id) is ObjectStatus.COMMITTED

    async def test_a_removed_blob_is_new_again(self, store: MetadataStore) -> None:
        """The same bytes uploaded after the removal get a fresh row."""
        (content,) = await garbage(store, "phoenix")
        await collect(store)
        reservation = await reserve(store, make_intent(), content)
        assert reservation.locator is None
        assert (await blob_of(store, content)).ref_count == 1

    async def test_moves_come_in_order_and_only_for_claimed_rows(
        self, store: MetadataStore
    ) -> None:
        """`move` sees rows by ascending key; unclaimed and absent ones are left out."""
        contents = await garbage(store, *(f"g{turn}" for turn in range(6)))
        keys = [blob.key for blob in await claim(store, limit=5)]
        unclaimed = set(map(blob_key, contents)) - set(keys)
        absent = blob_key(make_content("absent"))
        seen: list[BlobKey] = []

        async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            seen.extend(blob.key for blob in blobs)
            return [blob.key for blob in blobs]

        removal = await store.blobs.remove([*keys, absent, *unclaimed], move)
        assert seen == sorted(keys)
        assert {blob.key for blob in removal.removed} == set(keys)
        assert await store.blobs.find(keys) == {}
        assert set(await store.blobs.find(unclaimed)) == unclaimed

    async def test_what_was_reserved_in_between_is_taken_back(self, store: MetadataStore) -> None:
        """An upload that counts on a claimed blob again keeps it; its bytes are not touched."""
        back, gone = await garbage(store, "back", "gone")
        keys = [blob.key for blob in await claim(store)]
        reservation = await reserve(store, make_intent(), back)
        moved: list[BlobKey] = []

        async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            moved.extend(blob.key for blob in blobs)
            return moved

        removal = await store.blobs.remove(keys, move)
        assert moved == [blob_key(gone)]
        assert removal.taken_back == [blob_key(back)]
        assert [blob.key for blob in removal.removed] == [blob_key(gone)]
        blob = await blob_of(store, back)
        assert (blob.ref_count, blob.claimed_until) == (1, None)
        await store.objects.commit(reservation.lease, "placed/again")

    async def test_what_cannot_be_moved_stays_claimed(self, store: MetadataStore) -> None:
        """One bad file does not stop the others, and its row is as it was."""
        contents = await garbage(store, "good", "bad", "fine")
        keys = [blob.key for blob in await claim(store)]
        bad = blob_key(contents[1])
        before = await blob_of(store, contents[1])

        async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
            return {blob.key for blob in blobs} - {bad}

        removal = await store.blobs.remove(keys, move)
        assert removal.failed == [bad]
        assert {blob.key for blob in removal.removed} == set(keys) - {bad}
        assert await blob_of(store, contents[1]) == before
        assert await claim(store) == []

    async def test_a_failing_move_rolls_back(self, store: MetadataStore) -> None:
        """When `move` raises nothing has changed, and the removal can be tried again."""
        await garbage(store, "a", "b")
        keys = [blob.key for blob in await claim(store)]
        blobs, objects = await store.blobs.scan(after=None, limit=9), await scan_objects(store)

        async def move(found: Sequence[Blob]) -> Collection[BlobKey]:
            raise _Stop("told to")

        with pytest.raises(_Stop):
            await store.blobs.remove(keys, move)
        assert await store.blobs.scan(after=None, limit=9) == blobs
        assert await scan_objects(store) == objects
        assert len((await store.blobs.remove(keys, move_all)).removed) == 2

    async def test_a_cancelled_move_rolls_back(self, store: MetadataStore) -> None:
        """Cancelling the collector inside `move` changes nothing and frees the rows."""
        (content,) = await garbage(store, "a")
        keys = [blob.key for blob in await claim(store)]
        blobs, objects = await store.blobs.scan(after=None, limit=9), await scan_objects(store)
        inside = anyio.Event()

        async def move(found: Sequence[Blob]) -> Collection[BlobKey]:
            inside.set()
            await anyio.sleep_forever()
            return []

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.blobs.remove, keys, move)
            await inside.wait()
            tasks.cancel_scope.cancel()
        assert await store.blobs.scan(after=None, limit=9) == blobs
        assert await scan_objects(store) == objects
        assert (await reserve(store, make_intent(), content)).locator is None

    @pytest.mark.parametrize("by_content", [False, True])
    @pytest.mark.parametrize("moves", [False, True])
    async def test_an_upload_waits_for_the_move(
        self, store: MetadataStore, by_content: bool, moves: bool
    ) -> None:
        """While a file moves, an upload of these bytes waits, then has a row of its own (R02)."""
        (content,) = await garbage(store, "racing")
        keys = [blob.key for blob in await claim(store)]
        inside, leave, reserved = anyio.Event(), anyio.Event(), anyio.Event()
        removals: list[Removal] = []
        reservations: list[object] = []

        async def move(found: Sequence[Blob]) -> Collection[BlobKey]:
            inside.set()
            await leave.wait()
            return [blob.key for blob in found] if moves else []

        async def remove() -> None:
            removals.append(await store.blobs.remove(keys, move))

        async def upload() -> None:
            if by_content:
                reservations.append(
                    await store.objects.begin_reserved(make_intent(), content, lease_s=LEASE_S)
                )
            else:
                reservations.append(await reserve(store, make_intent(), content))
            reserved.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(remove)
            await inside.wait()
            tasks.start_soon(upload)
            with anyio.move_on_after(0.05):
                await reserved.wait()
            assert not reserved.is_set()
            leave.set()
        (removal,), (reservation,) = removals, reservations
        assert len(removal.removed) == int(moves)
        assert len(removal.failed) == int(not moves)
        assert isinstance(reservation, Reservation)
        assert reservation.locator is None
        blob = await blob_of(store, content)
        assert (blob.ref_count, blob.stored_at, blob.claimed_until) == (1, None, None)
        assert (blob.locator is None) is moves

    async def test_other_work_goes_on_during_a_move(self, store: MetadataStore) -> None:
        """Reads do not wait for a removal, and see nothing of it."""
        (content,) = await garbage(store, "moving")
        bystander = (await store_object(store)).object
        keys = [blob.key for blob in await claim(store)]

        async def move(found: Sequence[Blob]) -> Collection[BlobKey]:
            assert await store.objects.find(TENANT, bystander.id) == bystander
            assert (await blob_of(store, content)).claimed_until is not None
            return [blob.key for blob in found]

        assert len((await store.blobs.remove(keys, move)).removed) == 1

    async def test_two_collectors_at_once(self, store: MetadataStore) -> None:
        """Several collectors remove each blob once (R05)."""
        contents = await garbage(store, *(f"g{turn}" for turn in range(12)))
        removed: list[BlobKey] = []

        async def run() -> None:
            claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=5, agree=always)
            removal = await store.blobs.remove([blob.key for blob in claimed], move_all)
            removed.extend(blob.key for blob in removal.removed)

        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(run)
        assert sorted(removed) == sorted(map(blob_key, contents))

    async def test_removing_nothing(self, store: MetadataStore) -> None:
        """An empty batch, and one whose rows are all gone, are fine."""
        assert await store.blobs.remove([], move_all) == Removal([], [], [])
        absent = blob_key(make_content("absent"))
        assert await store.blobs.remove([absent], move_all) == Removal([], [], [])
