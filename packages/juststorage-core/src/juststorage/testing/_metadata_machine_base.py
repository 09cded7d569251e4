"""What the state machine of metadata stores is built on: model, comparison, and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal
from hypothesis.stateful import invariant

from juststorage.domain import (
    Blob,
    BlobKey,
    ObjectKey,
)
from juststorage.errors import JustStorageError
from juststorage.ports import Lease, MetadataStore
from juststorage.testing._audit import audit_metadata
from juststorage.testing._builders import LEASE_S, NAMESPACE, TENANT
from juststorage.testing._machines import Machine
from juststorage.testing._metadata_model import (
    COMMITTED,
    WRITING,
    ModelObject,
    ModelStore,
    Refusals,
)

__all__ = ["MetadataMachineBase", "moving_all_but"]

ResultT = TypeVar("ResultT")


class MetadataMachineBase(Machine):
    """The store, the model beside it, and what the rules remember of both."""

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
        # By age, not by id: ids of one millisecond are in no order, and an example that Hypothesis
        # runs again would pick another one.
        ids = {each.id for each in among}
        found = [each for each in self.model.objects.values() if each.id in ids]
        return found[pick % len(found)]

    def uploads(self, *, reserved: bool, ended: bool = True) -> list[ModelObject]:
        """Those that have, or have not, reserved; ended ones too unless there are others."""
        known = [each for each in self.model.objects.values() if each.id in self.leases]
        found = [each for each in known if (each.content_hash is not None) is reserved]
        alive = [each for each in found if each.status is WRITING]
        return found if ended or not alive else alive

    def locator(self) -> str:
        """Where an upload places its bytes: another place each time."""
        self.turn += 1
        return f"placed/{self.turn}"

    def committed(self) -> list[ModelObject]:
        """The visible objects."""
        return [each for each in self.model.objects.values() if each.status is COMMITTED]

    def known(self) -> Collection[str]:
        """The ids that the model has."""
        return self.model.objects.keys()

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
        await self.store.blobs.remove(sorted(keys), moving_all_but(set()))
        await objects.bury(limit=10_000)
        await objects.purge_tombstones(older_than_s=0, limit=10_000)
        assert await objects.scan(after=None, limit=10) == []
        assert await self.store.blobs.scan(after=None, limit=10) == []


def moving_all_but(
    stuck: set[BlobKey],
) -> Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]]:
    """A move for which some files are stuck."""

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        return {blob.key for blob in blobs} - stuck

    return move
