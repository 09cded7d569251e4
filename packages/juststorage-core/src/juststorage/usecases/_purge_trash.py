"""Purging the trash: what no row names goes for good, what a row names goes back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.errors import JustStorageError, UnsupportedOperation
from juststorage.ports import BlobStore, MetadataStore, TrashedBlob
from juststorage.usecases._collection import CollectionLimits, CollectionReport, Deadline, Stores

__all__ = ["PurgeTrash"]

_log: Final = logging.getLogger("juststorage.gc")

_PAGE: Final = 1000
"""Nobody waits for a page, so it may be larger than a batch that is removed under locks."""


class PurgeTrash:
    """Step c of a collection.

    What a row names goes back. What a row may still come to name stays: a collector that was frozen
    can move the file that an upload has just placed and not committed yet (R19).

    The check and the deletion need no lock between them: an upload never uses what is in the trash,
    it places a copy of its own, and it has its row, with a reference, before it places anything.

    An entry that cannot be put back or purged is counted and passed over, and so is one that has to
    stay: the walk goes on behind it, and the next run meets it again.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Stores,
        *,
        limits: CollectionLimits,
    ) -> None:
        self._rows = metadata.blobs
        self._stores = blobs
        self._limits = limits

    async def run(self, report: CollectionReport, deadline: Deadline) -> None:
        """Go through all trash that is older than its retention, page by page.

        A store that fails as a whole is counted, and the next one has its turn.
        """
        for storage_class, store in self._stores.items():
            try:
                await self._purge(storage_class, store, report, deadline)
            except UnsupportedOperation:
                continue  # this store has no trash
            except JustStorageError:
                report.errors += 1
                _log.exception("purge_failed", extra={"storage_class": storage_class.value})

    async def _purge(
        self,
        storage_class: StorageClass,
        store: BlobStore,
        report: CollectionReport,
        deadline: Deadline,
    ) -> None:
        after: str | None = None
        while True:
            page = await store.trash(
                older_than_s=self._limits.trash_retention_s, limit=_PAGE, after=after
            )
            if not page:
                return
            after = page[-1].entry
            rows = await self._rows.find(
                {
                    BlobKey(trashed.content_hash, storage_class)
                    for trashed in page
                    if trashed.content_hash is not None
                }
            )
            dead = [
                trashed
                for trashed in page
                if not await self._kept(trashed, storage_class, rows, store, report)
            ]
            await self._delete(store, dead, report)
            if len(page) < _PAGE:
                return
            if deadline.is_over:
                report.more = True
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
        try:
            if await store.stat(trashed.locator) is not None:
                return False  # a later upload placed its own copy; this one is a spare
            if await store.restore(trashed.locator):
                report.restored += 1
        except JustStorageError:
            report.errors += 1
            _log.exception("restore_failed", extra={"locator": trashed.locator})
        return True

    @staticmethod
    async def _delete(
        store: BlobStore, dead: Sequence[TrashedBlob], report: CollectionReport
    ) -> None:
        if not dead:
            return
        try:
            await store.purge(dead)
        except JustStorageError:
            _log.exception("purge_failed", extra={"entries": len(dead)})
        else:
            report.purged += len(dead)
            return
        # All have been tried, and one at least is left. To ask for each again tells which.
        for trashed in dead:
            try:
                await store.purge([trashed])
            except JustStorageError:
                report.errors += 1
            else:
                report.purged += 1
