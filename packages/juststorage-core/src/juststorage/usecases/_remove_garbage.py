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

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import anyio

from juststorage.domain import Blob, BlobKey, Locator, StorageClass
from juststorage.errors import JustStorageError, UnsupportedOperation
from juststorage.ports import (
    BlobStore,
    Clock,
    Decision,
    GarbageCandidate,
    GCPolicy,
    MetadataStore,
    Space,
)
from juststorage.usecases._collection import CollectionLimits, CollectionReport

__all__ = ["RemoveGarbage"]


class RemoveGarbage:
    """Steps a and b of a collection. Constant memory: one batch at a time."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
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

    async def preview(self, report: CollectionReport, *, grace_s: float) -> None:
        """Count what a run would claim, and change nothing.

        The count ends where one claiming statement would stop looking.
        """
        space = await self._space()

        def count(blob: Blob, now: datetime) -> bool:
            if self._agrees(blob, now, space):
                report.claimed += 1
                report.removed += 1
                report.bytes_removed += blob.size_bytes
            return False

        await self._rows.claim(
            grace_s=grace_s, claim_s=0, limit=self._limits.run_blobs_max, agree=count
        )

    async def run(self, report: CollectionReport, *, grace_s: float) -> None:
        """Claim and remove batch after batch, until no garbage or the run's limit is left.

        A blob is claimed once in a run. What could not be removed may be garbage still by the look
        of its row: a count that drifted to 0 while an object holds the blob stays 0, and claiming
        it again at once would go on until the limit.
        """
        space = await self._space()
        left: set[BlobKey] = set()
        while report.claimed < self._limits.run_blobs_max:
            started = self._clock.monotonic()
            claimed = await self._rows.claim(
                grace_s=grace_s,
                claim_s=self._limits.claim_s,
                limit=self._limits.batch_size,
                agree=lambda blob, now: blob.key not in left and self._agrees(blob, now, space),
            )
            if not claimed:
                return
            report.claimed += len(claimed)
            left.update(await self._remove(claimed, report))
            await self._keep_rate(len(claimed), started)
        report.more = True

    async def _remove(self, claimed: Sequence[Blob], report: CollectionReport) -> set[BlobKey]:
        """Remove a batch; the keys of those that are not removed."""
        keys = {blob.key for blob in claimed}
        moved: list[Blob] = []

        async def move(locked: Sequence[Blob]) -> Collection[BlobKey]:
            gone = await self._to_trash(locked)
            moved.extend(blob for blob in locked if blob.key in gone)
            return gone

        try:
            removal = await self._rows.remove([blob.key for blob in claimed], move)
        except JustStorageError:
            # The rows may still be there, so their bytes must be: put back what was moved. Where
            # the transaction did happen, the bytes are an orphan, which is adopted later.
            report.errors += len(claimed)
            with anyio.CancelScope(shield=True):
                await self._put_back(moved)
            return keys
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._put_back(moved)
            raise
        report.removed += len(removal.removed)
        report.bytes_removed += sum(blob.size_bytes for blob in removal.removed)
        report.errors += len(removal.failed)
        return keys - {blob.key for blob in removal.removed}

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
                continue
            gone.update(key for key, place in places.items() if place not in failures)
        return gone

    async def _put_back(self, moved: Sequence[Blob]) -> None:
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

    async def _space(self) -> dict[StorageClass, Space | None]:
        space: dict[StorageClass, Space | None] = {}
        for storage_class, store in self._stores.items():
            try:
                space[storage_class] = await store.space()
            except JustStorageError:
                space[storage_class] = None
        return space

    def _agrees(
        self, blob: Blob, now: datetime, space: Mapping[StorageClass, Space | None]
    ) -> bool:
        if blob.key.storage_class not in self._stores:
            return False  # its volume is not configured here: its bytes could not be removed
        candidate = GarbageCandidate(blob, space[blob.key.storage_class])
        return self._policy.decide(candidate, now) is Decision.COLLECT

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
