"""Purging the trash: what no row names goes for good, what a row names goes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.errors import UnsupportedOperation
from juststorage.ports import BlobStore, MetadataStore, TrashedBlob
from juststorage.usecases._collection import CollectionLimits, CollectionReport

__all__ = ["PurgeTrash"]


class PurgeTrash:
    """Step c of a collection.

    The check and the deletion need no lock between them: an upload never uses what is in the trash,
    it places a copy of its own.
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
                trashed for trashed in batch if not await self._kept(trashed, rows, store, report)
            ]
            await store.purge(dead)
            report.purged += len(dead)
            if len(batch) < self._limits.batch_size or not dead:
                return

    @staticmethod
    async def _kept(
        trashed: TrashedBlob,
        rows: Mapping[BlobKey, Blob],
        store: BlobStore,
        report: CollectionReport,
    ) -> bool:
        named: Sequence[Blob] = [row for row in rows.values() if row.locator == trashed.locator]
        if not any(row.stored_at is not None for row in named):
            return False
        if await store.stat(trashed.locator) is not None:
            return False  # a later upload placed its own copy; this one is a spare
        await store.restore(trashed.locator)
        report.restored += 1
        return True
