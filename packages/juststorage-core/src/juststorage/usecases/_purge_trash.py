"""Purging the trash: what no row names goes for good, what a row names goes back."""

from __future__ import annotations

from collections.abc import Mapping

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.errors import UnsupportedOperation
from juststorage.ports import BlobStore, MetadataStore, TrashedBlob
from juststorage.usecases._collection import CollectionLimits, CollectionReport

__all__ = ["PurgeTrash"]


class PurgeTrash:
    """Step c of a collection.

    What a row names goes back. What a row may still come to name stays: a collector that was frozen
    can move the file that an upload has just placed and not committed yet (R19).

    The check and the deletion need no lock between them: an upload never uses what is in the trash,
    it places a copy of its own, and it has its row, with a reference, before it places anything.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        *,
        limits: CollectionLimits,
    ) -> None:
        self._rows = metadata.blobs
        self._stores = blobs
        self._limits = limits

    async def run(self, report: CollectionReport) -> None:
        """Go through all trash that is older than its retention, batch by batch."""
        for storage_class, store in self._stores.items():
            try:
                await self._purge(storage_class, store, report)
            except UnsupportedOperation:
                continue  # this store has no trash

    async def _purge(
        self, storage_class: StorageClass, store: BlobStore, report: CollectionReport
    ) -> None:
        while True:
            batch = await store.trash(
                older_than_s=self._limits.trash_retention_s, limit=self._limits.batch_size
            )
            rows = await self._rows.find(
                [
                    BlobKey(trashed.content_hash, storage_class)
                    for trashed in batch
                    if trashed.content_hash is not None
                ]
            )
            dead = [
                trashed
                for trashed in batch
                if not await self._kept(trashed, storage_class, rows, store, report)
            ]
            await store.purge(dead)
            report.purged += len(dead)
            if len(batch) < self._limits.batch_size or not dead:
                return

    @staticmethod
    async def _kept(
        trashed: TrashedBlob,
        storage_class: StorageClass,
        rows: Mapping[BlobKey, Blob],
        store: BlobStore,
        report: CollectionReport,
    ) -> bool:
        if trashed.content_hash is None:
            return False
        row = rows.get(BlobKey(trashed.content_hash, storage_class))
        if row is None:
            return False
        if row.stored_at is None:
            # With a reference, an upload is on its way to commit these bytes, perhaps this file.
            return row.ref_count > 0
        if row.locator != trashed.locator:
            return False
        if await store.stat(trashed.locator) is not None:
            return False  # a later upload placed its own copy; this one is a spare
        await store.restore(trashed.locator)
        report.restored += 1
        return True
