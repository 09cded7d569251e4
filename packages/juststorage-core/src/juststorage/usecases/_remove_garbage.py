"""Claiming and removing garbage: the only code in the system that removes a final blob.

Any number of collectors may run this at once, next to any number of uploads of the same bytes.
What keeps an upload's bytes from a collector, in the order in which they meet:

1. A claim takes only rows with ref_count 0, and withdraws `stored_at` in the same transaction: an
   upload that reserves the blob from now on places a copy of its own.
2. `BlobRepository.remove` locks the rows that are still claimed and still without references, and
   holds the locks while the bytes move to the trash. An upload that reserves meanwhile waits, and
   then finds no row: it makes one, and places its own copy.
3. What moves goes to the trash, not away. A collector that was frozen between its lock and its move
   (its connection cut, its lock gone) can at worst trash a blob that is in use: the next reader or
   purge finds the row and puts it back (R19).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import anyio

from juststorage.domain import Blob, BlobKey, Locator
from juststorage.errors import JustStorageError, UnsupportedOperation
from juststorage.ports import BlobStore, Clock, GCPolicy, MetadataStore
from juststorage.usecases._collection import CollectionLimits, CollectionReport, Deadline, Stores
from juststorage.usecases._judging import Judging, rooms_of

__all__ = ["RemoveGarbage"]

_log: Final = logging.getLogger("juststorage.gc")

_PREVIEWED: Final = 100
_LOOKED_AT_PER_BLOB: Final = 10
"""Candidates that a run looks at, for each that it may remove."""


class RemoveGarbage:
    """Steps a and b of a collection. Constant memory: one batch at a time.

    A run looks at each candidate once, from the oldest on, and never at one again: what a policy
    keeps hides nothing that is younger, and what cannot be removed is not claimed over and over.
    Where a policy keeps very many, a run ends after a share of them; the next one goes on there.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Stores,
        policy: GCPolicy,
        *,
        clock: Clock,
        limits: CollectionLimits,
    ) -> None:
        self._rows = metadata.blobs
        self._stores = blobs
        self._policy = policy
        self._clock = clock
        self._limits = limits
        self._left_off: Blob | None = None

    @property
    def _looked_at_max(self) -> int:
        return self._limits.run_blobs_max * _LOOKED_AT_PER_BLOB

    async def preview(
        self, report: CollectionReport, deadline: Deadline, *, grace_s: float
    ) -> None:
        """Count what a run would claim, and change nothing."""
        judging = Judging(self._policy, await rooms_of(self._stores, report), only_looks=True)
        while True:
            asked = judging.asked
            await self._rows.claim(
                grace_s=grace_s,
                claim_s=0,
                limit=_PREVIEWED,
                agree=judging.agrees,
                after=judging.last,
            )
            judging.settle(())
            report.claimed = report.removed = judging.agreed
            report.bytes_removed = judging.agreed_bytes
            if judging.asked == asked:
                return
            if deadline.is_over or judging.asked >= self._looked_at_max:
                report.more = True
                return

    async def run(self, report: CollectionReport, deadline: Deadline, *, grace_s: float) -> None:
        """Claim and remove batch after batch, until no garbage or a limit is left."""
        judging = Judging(self._policy, await rooms_of(self._stores, report), after=self._left_off)
        self._left_off = None
        while report.claimed < self._limits.run_blobs_max and not deadline.is_over:
            started, asked = self._clock.monotonic(), judging.asked
            claimed = await self._rows.claim(
                grace_s=grace_s,
                claim_s=self._limits.claim_s,
                limit=min(self._limits.batch_size, self._limits.run_blobs_max - report.claimed),
                agree=judging.agrees,
                after=judging.last,
            )
            judging.settle(claimed)
            if judging.asked == asked:
                return
            if claimed:
                report.claimed += len(claimed)
                judging.give_back(await self._remove(claimed, report))
                await self._keep_rate(len(claimed), started)
            if judging.asked >= self._looked_at_max:
                self._left_off = judging.last
                return
        report.more = True

    async def _remove(self, claimed: Sequence[Blob], report: CollectionReport) -> list[Blob]:
        """Remove a batch; those that are not removed."""
        moving: list[Blob] = []

        async def move(locked: Sequence[Blob]) -> Collection[BlobKey]:
            # Before the first of them moves: whatever ends this, cancellation included, what has
            # moved by then must be among those that are put back.
            moving.extend(locked)
            return await self._to_trash(locked)

        try:
            removal = await self._rows.remove([blob.key for blob in claimed], move)
        except JustStorageError:
            # The rows may still be there, so their bytes must be: put back what was moved. Where
            # the transaction did happen, the bytes are an orphan, which is adopted later.
            report.errors += len(claimed)
            _log.exception("removal_failed", extra={"blobs": len(claimed)})
            with anyio.CancelScope(shield=True):
                await self._put_back(moving)
            return list(claimed)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._put_back(moving)
            raise
        report.removed += len(removal.removed)
        report.bytes_removed += sum(blob.size_bytes for blob in removal.removed)
        report.errors += len(removal.failed)
        if len(removal.removed) == len(claimed):
            return []
        failed, taken_back = set(removal.failed), set(removal.taken_back)
        # A store that failed as a whole may have moved some of them.
        await self._put_back(blob for blob in moving if blob.key in failed)
        await self._confirm([blob for blob in claimed if blob.key in taken_back], report)
        removed = {blob.key for blob in removal.removed}
        return [blob for blob in claimed if blob.key not in removed]

    async def _to_trash(self, locked: Sequence[Blob]) -> set[BlobKey]:
        """Move the bytes of these blobs to the trash; the keys of those that are gone."""
        gone: set[BlobKey] = set()
        for storage_class, store in self._stores.items():
            mine = [blob for blob in locked if blob.key.storage_class is storage_class]
            if not mine:
                continue
            places = {blob.key: _place(store, blob) for blob in mine}
            locators = [place for place in places.values() if place is not None]
            try:
                failures = await store.remove(locators) if locators else {}
            except JustStorageError:
                _log.exception("move_failed", extra={"blobs": len(locators)})
                continue
            gone.update(key for key, place in places.items() if place not in failures)
        return gone

    async def _put_back(self, moved: Iterable[Blob]) -> None:
        for blob in moved:
            store = self._stores[blob.key.storage_class]
            place = _place(store, blob)
            if place is None:
                continue
            try:
                await store.restore(place)
            except UnsupportedOperation:
                # A generation without a trash is gone. Its row has no stored_at and no references,
                # so that nobody will look for it.
                continue
            except JustStorageError:
                continue  # it stays in the trash, where a reader and the purge look for it

    async def _confirm(self, taken_back: Sequence[Blob], report: CollectionReport) -> None:
        """Trust again what a claim distrusted for nothing (R04).

        The count had drifted: an object holds the blob, so its row never went, and its bytes stayed
        where they were. Where it is an upload that holds it, its commit does this.
        """
        for blob in taken_back:
            if blob.stored_at is None or blob.locator is None:
                continue
            try:
                await self._rows.confirm(blob, blob.locator)
            except JustStorageError:
                report.errors += 1
                _log.exception("confirm_failed")

    async def _keep_rate(self, count: int, started: float) -> None:
        if self._limits.rate_max_blobs_s > 0:
            due = count / self._limits.rate_max_blobs_s
            spent = self._clock.monotonic() - started
            if due > spent:
                await self._clock.sleep(due - spent)


def _place(store: BlobStore, blob: Blob) -> Locator | None:
    """Where the bytes of a blob are, or would be.

    A row without a locator is of an upload that never committed; with fixed names its bytes may be
    in place all the same. A generation that it placed is an orphan, which the sweeper finds.
    """
    return blob.locator or store.locator_of(blob.key.content_hash)
