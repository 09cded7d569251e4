"""Any metadata store against the model, in orders that nobody thought of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from juststorage.domain import (
    UNCONDITIONAL,
    BlobKey,
    Change,
    Conditions,
    ObjectKey,
    StorageClass,
)
from juststorage.errors import JustStorageError
from juststorage.ports import Committed, Reservation
from juststorage.testing._builders import LEASE_S, TENANT, make_content, make_intent
from juststorage.testing._metadata_machine_base import MetadataMachineBase, moving_all_but
from juststorage.testing._metadata_model import (
    WRITING,
    ModelBlob,
)

__all__ = ["MetadataMachine"]

KEYS = st.sampled_from([None, ObjectKey("k"), ObjectKey("k"), ObjectKey("l")])
CONTENT_BY_HASH = {each.content_hash: each for each in map(make_content, ("a", "b", "c"))}
CONTENTS = st.sampled_from(list(CONTENT_BY_HASH.values()))
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


class MetadataMachine(MetadataMachineBase):
    """Each rule asks the model what may happen, does it, and compares."""

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
    @rule(pick=PICKS, ended=st.booleans())
    def commit(self, pick: int, ended: bool) -> None:
        """Commit a reserved upload."""
        upload = self.pick(self.uploads(reserved=True, ended=ended), pick)
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
        among = self.committed() or self.model.objects.values()
        found = self.pick(self.model.objects.values() if any_state else among, pick)
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

    @precondition(lambda self: self.committed())
    @rule(pick=PICKS)
    def change_class(self, pick: int) -> None:
        """Move a committed object to the other class, through every step."""
        found = self.pick(self.committed(), pick)
        assert found.content_hash is not None
        other = set(StorageClass) - {found.storage_class}
        content = CONTENT_BY_HASH[found.content_hash]
        intent = make_intent(storage_class=other.pop())
        lease = self.run(lambda: self.store.objects.begin(intent, lease_s=LEASE_S))
        made = self.model.begin(intent, over=False)
        reservation = self.run(lambda: self.store.objects.reserve(lease, content))
        assert reservation.locator == self.model.reserve(made, content.content_hash)
        locator = reservation.locator or self.locator()
        moved = self.run(
            lambda: self.store.objects.commit_move(reservation.lease, locator, object_id=found.id)
        )
        self.model.move(made, found, locator)
        assert moved.locator == self.model.blobs[found.blob_key].locator

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
        removal = self.run(lambda: self.store.blobs.remove(keys, moving_all_but(stuck)))
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
