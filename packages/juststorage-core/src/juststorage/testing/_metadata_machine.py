"""Any metadata store against the model, in orders that nobody thought of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from juststorage.domain import (
    UNCONDITIONAL,
    Blob,
    BlobKey,
    Change,
    Conditions,
    ObjectKey,
    StorageClass,
)
from juststorage.errors import JustStorageError
from juststorage.ports import Committed, Lease, MetadataStore, Reservation
from juststorage.testing._audit import audit_metadata
from juststorage.testing._builders import LEASE_S, NAMESPACE, TENANT, make_content, make_intent
from juststorage.testing._machines import Machine
from juststorage.testing._metadata_model import (
    COMMITTED,
    WRITING,
    ModelBlob,
    ModelObject,
    ModelStore,
    Refusals,
)

__all__ = ["MetadataMachine"]

ResultT = TypeVar("ResultT")

KEYS = st.sampled_from([None, ObjectKey("k"), ObjectKey("l")])
CONTENTS = st.sampled_from([make_content("a"), make_content("b"), make_content("c")])
CLASSES = st.sampled_from([StorageClass.HOT, StorageClass.HOT, StorageClass.COLD])
CONDITIONS = st.sampled_from(
    [
        UNCONDITIONAL,
        UNCONDITIONAL,
        UNCONDITIONAL,
        Conditions(if_none_match=frozenset()),
        Conditions(if_match=frozenset()),
        Conditions(if_match=frozenset({make_content("a").content_hash})),
    ]
)
PICKS = st.integers(0, 1000)


class MetadataMachine(Machine):
    """Each rule asks the model what may happen, does it, and compares."""

    def __init__(self, portal: BlockingPortal, store: MetadataStore) -> None:
        super().__init__(portal)
        self.store = store
        self.model = ModelStore()
        self.leases: dict[str, Lease] = {}
        self.claimed: set[BlobKey] = set()
        self.turn = 0

    def attempt(
        self, refusals: Refusals, call: Callable[[], Coroutine[Any, Any, ResultT]]
    ) -> ResultT | None:
        """Do it; None when it was refused, as it had to be."""
        try:
            result = self.run(call)
        except JustStorageError as error:
            if isinstance(error, refusals):
                return None
            raise AssertionError(f"refused, and not with one of {refusals}") from error
        assert not refusals, f"not refused; should have been {refusals}"
        return result

    def pick(self, among: Collection[ModelObject], pick: int) -> ModelObject:
        """One of them."""
        found = sorted(among, key=lambda each: each.id)
        return found[pick % len(found)]

    def uploads(self, *, reserved: bool) -> list[ModelObject]:
        """Those that have, or have not, reserved; over, aborted and committed ones too."""
        known = [each for each in self.model.objects.values() if each.id in self.leases]
        return [each for each in known if (each.content_hash is not None) is reserved]

    def locator(self) -> str:
        """Where an upload places its bytes: another place each time."""
        self.turn += 1
        return f"placed/{self.turn}"

    # -- upload -------------------------------------------------------------------------------

    @rule(key=KEYS, put=st.booleans(), kind=CLASSES, over=st.booleans(), conditions=CONDITIONS)
    def begin(
        self,
        key: str | None,
        put: bool,
        kind: StorageClass,
        over: bool,
        conditions: Conditions,
    ) -> None:
        """Begin an upload."""
        intent = make_intent(key, replace=put, storage_class=kind, conditions=conditions)
        lease = self.attempt(
            self.model.may_begin(intent),
            lambda: self.store.objects.begin(intent, lease_s=0 if over else LEASE_S),
        )
        if lease is not None:
            self.model.begin(intent, over=over)
            self.leases[intent.new.id] = lease

    @rule(
        key=KEYS,
        put=st.booleans(),
        kind=CLASSES,
        over=st.booleans(),
        conditions=CONDITIONS,
        content=CONTENTS,
    )
    def begin_reserved(
        self,
        *,
        key: str | None,
        put: bool,
        kind: StorageClass,
        over: bool,
        conditions: Conditions,
        content: Any,
    ) -> None:
        """Begin an upload whose content is known."""
        intent = make_intent(key, replace=put, storage_class=kind, conditions=conditions)
        lease_s = 0 if over else LEASE_S
        begun = self.attempt(
            self.model.may_begin(intent),
            lambda: self.store.objects.begin_reserved(intent, content, lease_s=lease_s),
        )
        if begun is None:
            return
        made = self.model.begin(intent, over=over)
        locator = self.model.reserve(made, content.content_hash)
        if locator is None:
            assert isinstance(begun, Reservation) and begun.locator is None
            self.leases[made.id] = begun.lease
        else:
            assert isinstance(begun, Committed) and begun.object.locator == locator
            assert begun.replaced == self.model.commit(made, locator)

    @rule(key=KEYS, kind=CLASSES, content=CONTENTS)
    def put(self, key: str | None, kind: StorageClass, content: Any) -> None:
        """Take an upload through every step: what most uploads do."""
        intent = make_intent(key, replace=True, storage_class=kind)
        lease = self.run(lambda: self.store.objects.begin(intent, lease_s=LEASE_S))
        made = self.model.begin(intent, over=False)
        reservation = self.run(lambda: self.store.objects.reserve(lease, content))
        assert reservation.locator == self.model.reserve(made, content.content_hash)
        locator = reservation.locator or self.locator()
        committed = self.run(lambda: self.store.objects.commit(reservation.lease, locator))
        assert committed.replaced == self.model.commit(made, locator)
        self.leases[made.id] = reservation.lease

    @precondition(lambda self: self.uploads(reserved=False))
    @rule(pick=PICKS, content=CONTENTS)
    def reserve(self, pick: int, content: Any) -> None:
        """Reserve content for an upload."""
        upload = self.pick(self.uploads(reserved=False), pick)
        lease = self.leases[upload.id]
        reservation = self.attempt(
            self.model.may_go_on(upload), lambda: self.store.objects.reserve(lease, content)
        )
        if reservation is not None:
            assert reservation.locator == self.model.reserve(upload, content.content_hash)
            self.leases[upload.id] = reservation.lease

    @precondition(lambda self: self.uploads(reserved=True))
    @rule(pick=PICKS)
    def commit(self, pick: int) -> None:
        """Commit a reserved upload."""
        upload = self.pick(self.uploads(reserved=True), pick)
        lease, locator = self.leases[upload.id], self.locator()
        committed = self.attempt(
            self.model.may_commit(upload), lambda: self.store.objects.commit(lease, locator)
        )
        if committed is not None:
            assert committed.replaced == self.model.commit(upload, locator)
            assert committed.object.locator == self.model.blobs[upload.blob_key].locator

    @precondition(lambda self: self.leases)
    @rule(pick=PICKS, over=st.booleans())
    def renew(self, pick: int, over: bool) -> None:
        """Renew a lease."""
        upload = self.pick([*self.uploads(reserved=True), *self.uploads(reserved=False)], pick)
        lease, lease_s = self.leases[upload.id], 0 if over else LEASE_S
        refusals = self.model.may_go_on(upload)
        self.attempt(refusals, lambda: self.store.objects.renew(lease, lease_s=lease_s))
        if not refusals:
            upload.over = over

    @precondition(lambda self: self.leases)
    @rule(pick=PICKS)
    def abort(self, pick: int) -> None:
        """Abort an upload, ended or not."""
        upload = self.pick([*self.uploads(reserved=True), *self.uploads(reserved=False)], pick)
        lease = self.leases[upload.id]
        self.run(lambda: self.store.objects.abort(lease))
        if upload.status is WRITING:
            self.model.abandon(upload)

    @rule()
    def reap(self) -> None:
        """Reap every upload whose lease is over."""
        reaped = self.run(lambda: self.store.objects.reap(limit=1000))
        assert set(reaped) == self.model.over()
        for object_id in reaped:
            self.model.abandon(self.model.objects[object_id])

    # -- change and delete --------------------------------------------------------------------

    @precondition(lambda self: self.model.objects)
    @rule(pick=PICKS, any_state=st.booleans())
    def delete(self, pick: int, any_state: bool) -> None:
        """Delete an object, committed or in whatever state."""
        known = self.model.objects.values()
        committed = [each for each in known if each.status is COMMITTED]
        found = self.pick(known if any_state or not committed else committed, pick)
        refusals = self.model.may_change(found)
        self.attempt(refusals, lambda: self.store.objects.delete(TENANT, found.id))
        if not refusals:
            self.model.delete(found)

    @precondition(lambda self: self.model.objects)
    @rule(pick=PICKS, key=KEYS)
    def rename(self, pick: int, key: ObjectKey | None) -> None:
        """Change an object's key."""
        found = self.pick(self.model.objects.values(), pick)
        holder = self.model.holder(key)
        if holder is not None and holder.status is WRITING and holder.over:
            return  # the port leaves open whether it is taken over here
        refusals = self.model.may_change(found)
        if not refusals and holder is not None and holder is not found:
            refusals = (JustStorageError,)
        self.attempt(refusals, lambda: self.store.objects.update(TENANT, found.id, Change(key=key)))
        if not refusals:
            found.key, found.has_key = key, key is not None

    @precondition(lambda self: self.uploads(reserved=True))
    @rule(upload=PICKS, pick=PICKS)
    def move(self, upload: int, pick: int) -> None:
        """Move an object to the class of an upload without a key."""
        source = self.pick(self.uploads(reserved=True), upload)
        found = self.pick(self.model.objects.values(), pick)
        if source.key is not None or found.storage_class is source.storage_class:
            return
        lease, locator = self.leases[source.id], self.locator()
        refusals = self.model.may_move(source, found)
        self.attempt(
            refusals,
            lambda: self.store.objects.commit_move(lease, locator, object_id=found.id),
        )
        if not refusals:
            self.model.move(source, found, locator)

    # -- garbage ------------------------------------------------------------------------------

    @precondition(lambda self: self.model.blobs)
    @rule()
    def claim(self) -> None:
        """Claim all garbage."""
        claimed = self.run(
            lambda: self.store.blobs.claim(
                grace_s=0, claim_s=LEASE_S, limit=1000, agree=lambda blob, now: True
            )
        )
        keys = {blob.key for blob in claimed}
        assert keys == self.model.claim()
        self.claimed |= keys

    @precondition(lambda self: self.claimed)
    @rule(stick=st.booleans())
    def remove(self, stick: bool) -> None:
        """Remove what was claimed at any time, one file being stuck or none."""
        keys = sorted(self.claimed)
        stuck = set(keys[:1]) if stick else set()
        removal = self.run(lambda: self.store.blobs.remove(keys, _moving_all_but(stuck)))
        removed, taken_back, failed = self.model.remove(set(keys), stuck)
        assert {blob.key for blob in removal.removed} == removed
        assert set(removal.taken_back) == taken_back
        assert set(removal.failed) == failed
        self.claimed = failed

    @precondition(lambda self: self.model.objects)
    @rule()
    def bury(self) -> None:
        """Bury what no removal will bury."""
        buried = self.run(lambda: self.store.objects.bury(limit=1000))
        assert buried == self.model.bury()

    @precondition(lambda self: self.model.objects)
    @rule()
    def purge(self) -> None:
        """Drop every tombstone, and forget the leases of what is gone."""
        purged = self.run(lambda: self.store.objects.purge_tombstones(older_than_s=0, limit=1000))
        assert purged == self.model.purge()
        self.leases = {key: value for key, value in self.leases.items() if key in self.known()}

    def known(self) -> Collection[str]:
        """The ids that the model has."""
        return self.model.objects.keys()

    @rule(content=CONTENTS, kind=CLASSES)
    def adopt(self, content: Any, kind: StorageClass) -> None:
        """Adopt a file, which has a row already or not."""
        key, locator = BlobKey(content.content_hash, kind), self.locator()
        adopted = self.run(
            lambda: self.store.blobs.adopt(key, size_bytes=content.size_bytes, locator=locator)
        )
        assert adopted is (key not in self.model.blobs)
        if adopted:
            self.model.blobs[key] = ModelBlob()

    # -- comparison ---------------------------------------------------------------------------

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Every row is what the model says, and the auditor finds nothing."""
        self.run(self._compare)

    async def _compare(self) -> None:
        objects = await self.store.objects.scan(after=None, limit=10_000)
        assert {
            each.id: (each.status, each.key, each.storage_class, each.content_hash)
            for each in objects
        } == {
            each.id: (each.status, each.key, each.storage_class, each.content_hash)
            for each in self.model.objects.values()
        }
        blobs = await self.store.blobs.scan(after=None, limit=10_000)
        assert {
            blob.key: (
                blob.ref_count,
                blob.stored_at is not None,
                blob.claimed_until is not None,
                blob.locator if blob.stored_at is not None else None,
            )
            for blob in blobs
        } == {
            key: (blob.refs, blob.stored, blob.claimed, blob.locator if blob.stored else None)
            for key, blob in self.model.blobs.items()
        }
        for key in (ObjectKey("k"), ObjectKey("l")):
            found = await self.store.objects.find_by_key(TENANT, NAMESPACE, key)
            holder = self.model.holder(key)
            visible = holder if holder and holder.status is COMMITTED else None
            assert (found and found.id) == (visible and visible.id)
        assert await audit_metadata(self.store) == []

    def teardown(self) -> None:
        """Empty the store through the port, for the next example."""
        self.run(self._drain)

    async def _drain(self) -> None:
        objects = self.store.objects
        for each in self.model.objects.values():
            if each.status is WRITING:
                await objects.renew(self.leases[each.id], lease_s=0)
        await objects.reap(limit=10_000)
        committed = [each.id for each in self.model.objects.values() if each.status is COMMITTED]
        await objects.delete_many(TENANT, committed)
        claimed = await self.store.blobs.claim(
            grace_s=0, claim_s=LEASE_S, limit=1000, agree=lambda blob, now: True
        )
        keys = {blob.key for blob in claimed} | self.claimed
        await self.store.blobs.remove(sorted(keys), _moving_all_but(set()))
        await objects.bury(limit=10_000)
        await objects.purge_tombstones(older_than_s=0, limit=10_000)
        assert await objects.scan(after=None, limit=10) == []
        assert await self.store.blobs.scan(after=None, limit=10) == []


def _moving_all_but(
    stuck: set[BlobKey],
) -> Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]]:
    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        return {blob.key for blob in blobs} - stuck

    return move
