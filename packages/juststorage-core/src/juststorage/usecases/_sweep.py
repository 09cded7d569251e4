"""Sweeping: what uploads that died left behind, in the stores and in the database.

The sweeper never removes bytes that a row could name. A placed blob without a row is *adopted*: it
gets a row without references, and the collector, with its locks, decides later. The exception is a
store with generations: an orphaned generation has a name that nobody will ever ask for again.

A store that fails is counted and logged, and the next one has its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from juststorage.domain import BlobKey, Locator, StorageClass
from juststorage.errors import JustStorageError
from juststorage.ports import BlobStore, MetadataStore, PlacedBlob, StagedEntry
from juststorage.usecases._collection import CollectionLimits, CollectionReport, Deadline, Stores

__all__ = ["Sweep"]

_log: Final = logging.getLogger("juststorage.gc")

_PAGE: Final = 1000
"""Entries of a walk that takes no locks."""


class Sweep:
    """Reaps uploads, sweeps staging, adopts orphans, buries and forgets deleted objects."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Stores,
        *,
        limits: CollectionLimits,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._stores = blobs
        self._limits = limits
        self._scanned: dict[StorageClass, Locator | None] = {}

    async def reap(self, report: CollectionReport, deadline: Deadline) -> None:
        """Uploads whose lease is over become DELETED."""
        while reaped := await self._objects.reap(limit=self._limits.batch_size):
            report.reaped += len(reaped)
            if deadline.is_over:
                report.more = True
                return

    async def rows(self, report: CollectionReport, deadline: Deadline) -> None:
        """DELETING objects whose bytes live on become tombstones; old tombstones go."""
        limit = self._limits.batch_size
        while buried := await self._objects.bury(limit=limit):
            report.buried += buried
            if deadline.is_over:
                report.more = True
                return
        while forgotten := await self._objects.purge_tombstones(
            older_than_s=self._limits.tombstone_retention_s, limit=limit
        ):
            report.forgotten += forgotten
            if deadline.is_over:
                report.more = True
                return

    async def staging(self, report: CollectionReport, deadline: Deadline) -> None:
        """Staged bytes of uploads that are not alive go.

        An upload's row is written before its staging entry, so an entry without one is dead.
        """
        for storage_class, store in self._stores.items():
            try:
                await self._sweep_staging(store, report, deadline)
            except JustStorageError:
                report.errors += 1
                _log.exception("sweep_failed", extra={"storage_class": storage_class.value})

    async def _sweep_staging(
        self, store: BlobStore, report: CollectionReport, deadline: Deadline
    ) -> None:
        after: str | None = None
        while batch := await store.staged(
            older_than_s=self._limits.staging_grace_s, limit=_PAGE, after=after
        ):
            after = batch[-1].entry
            alive = await self._objects.live_uploads([entry.upload_id for entry in batch])
            dead = [entry for entry in batch if entry.upload_id not in alive]
            await self._discard(store, dead, report)
            if len(batch) < _PAGE:
                return
            if deadline.is_over:
                report.more = True
                return

    @staticmethod
    async def _discard(
        store: BlobStore, dead: Sequence[StagedEntry], report: CollectionReport
    ) -> None:
        if not dead:
            return
        try:
            await store.discard(dead)
        except JustStorageError:
            _log.exception("discard_failed", extra={"entries": len(dead)})
        else:
            report.swept += len(dead)
            return
        # All have been tried, and one at least is left. To ask for each again tells which.
        for entry in dead:
            try:
                await store.discard([entry])
            except JustStorageError:
                report.errors += 1
            else:
                report.swept += 1

    async def orphans(self, report: CollectionReport, deadline: Deadline) -> None:
        """Compare placed blobs with their rows; each run goes on where the last one stopped."""
        for storage_class, store in self._stores.items():
            try:
                await self._compare(storage_class, store, report, deadline)
            except JustStorageError:
                report.errors += 1
                _log.exception("scan_failed", extra={"storage_class": storage_class.value})

    async def _compare(
        self,
        storage_class: StorageClass,
        store: BlobStore,
        report: CollectionReport,
        deadline: Deadline,
    ) -> None:
        looked_at = 0
        after = self._scanned.get(storage_class)
        while looked_at < self._limits.scan_blobs_max and not deadline.is_over:
            limit = min(_PAGE, self._limits.scan_blobs_max - looked_at)
            page = await store.scan(after=after, limit=limit)
            if not page:
                after = None
                break
            looked_at += len(page)
            after = page[-1].locator
            await self._adopt(storage_class, page, report)
            await self._drop_generations(storage_class, store, page, report)
        self._scanned[storage_class] = after

    async def _adopt(
        self, storage_class: StorageClass, page: Sequence[PlacedBlob], report: CollectionReport
    ) -> None:
        named = {
            BlobKey(placed.content_hash, storage_class): placed
            for placed in page
            if placed.content_hash is not None
        }
        rows = await self._rows.find(named)
        for key, placed in named.items():
            # A row comes before its file, so a file without one belongs to no upload under way.
            if key not in rows and await self._rows.adopt(
                key, size_bytes=placed.size_bytes, locator=placed.locator
            ):
                report.adopted += 1

    async def _drop_generations(
        self,
        storage_class: StorageClass,
        store: BlobStore,
        page: Sequence[PlacedBlob],
        report: CollectionReport,
    ) -> None:
        generations = {
            placed.locator: placed.upload_id
            for placed in page
            if placed.content_hash is None and placed.upload_id is not None
        }
        if not generations:
            return
        # Alive first, then in use: an upload that commits between the two is alive in the first
        # answer; the other way round it would be in neither.
        alive = await self._objects.live_uploads(list(generations.values()))
        used = await self._rows.locators_in_use(storage_class, generations)
        dead = [
            locator
            for locator, upload_id in generations.items()
            if upload_id not in alive and locator not in used
        ]
        failures = await store.remove(dead)
        report.swept += len(dead) - len(failures)
        report.errors += len(failures)
