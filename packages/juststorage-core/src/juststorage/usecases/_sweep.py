"""Sweeping: what uploads that died left behind, in the stores and in the database.

The sweeper never removes bytes that a row could name. A placed blob without a row is *adopted*: it
gets a row without references, and the collector, with its locks, decides later. The exception is a
store with generations: an orphaned generation has a name that nobody will ever ask for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from juststorage.domain import BlobKey, Locator, StorageClass
from juststorage.ports import BlobStore, MetadataStore, PlacedBlob
from juststorage.usecases._collection import CollectionLimits, CollectionReport

__all__ = ["Sweep"]


class Sweep:
    """Reaps uploads, sweeps staging, adopts orphans, buries and forgets deleted objects."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        *,
        limits: CollectionLimits,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._stores = blobs
        self._limits = limits
        self._scanned: dict[StorageClass, Locator | None] = {}

    async def reap(self, report: CollectionReport) -> None:
        """Uploads whose lease is over become DELETED."""
        while reaped := await self._objects.reap(limit=self._limits.batch_size):
            report.reaped += len(reaped)

    async def rows(self, report: CollectionReport) -> None:
        """DELETING objects whose bytes live on become tombstones; old tombstones go."""
        limit = self._limits.batch_size
        while buried := await self._objects.bury(limit=limit):
            report.buried += buried
        while forgotten := await self._objects.purge_tombstones(
            older_than_s=self._limits.tombstone_retention_s, limit=limit
        ):
            report.forgotten += forgotten

    async def staging(self, report: CollectionReport) -> None:
        """Staged bytes of uploads that are not alive go.

        An upload's row is written before its staging entry, so an entry without one is dead.
        """
        for store in self._stores.values():
            while True:
                batch = await store.staged(
                    older_than_s=self._limits.staging_grace_s, limit=self._limits.batch_size
                )
                alive = await self._objects.live_uploads([entry.upload_id for entry in batch])
                dead = [entry for entry in batch if entry.upload_id not in alive]
                await store.discard(dead)
                report.swept += len(dead)
                if len(batch) < self._limits.batch_size or not dead:
                    break

    async def orphans(self, report: CollectionReport) -> None:
        """Compare placed blobs with their rows; each run goes on where the last one stopped."""
        for storage_class, store in self._stores.items():
            looked_at = 0
            after = self._scanned.get(storage_class)
            while looked_at < self._limits.scan_blobs_max:
                page = await store.scan(after=after, limit=self._limits.batch_size)
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
