"""Sweeping: what uploads that died left behind, in the stores and in the database.

The sweeper never removes bytes that a row could name. A placed blob without a row is *adopted*: it
gets a row without references, and the collector, with its locks, decides later. The exception is a
store with generations: an orphaned generation has a name that nobody will ever ask for again.
Both happen only to what is few beside what rows name; `_unknown` has why.

A store that fails is counted and logged, and the next one has its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from juststorage.domain import BlobKey, Locator, StorageClass
from juststorage.errors import JustStorageError
from juststorage.ports import BlobStore, MetadataStore, PlacedBlob, StagedEntry
from juststorage.usecases._collection import CollectionLimits, CollectionReport, Deadline, Stores
from juststorage.usecases._unknown import Walk, read_sample, unknown_in

__all__ = ["Sweep"]

_log: Final = logging.getLogger("juststorage.gc")

_PAGE: Final = 1000
"""Entries of a walk that takes no locks."""

_TOO_MANY: Final = (
    "nothing of it was adopted or removed: is this the database that belongs to this store?"
    " If it is, `juststorage gc run --adopt-unknown` takes it"
)


class Sweep:
    """Reaps uploads, sweeps staging, adopts orphans, buries and forgets deleted objects."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Stores,
        *,
        limits: CollectionLimits,
    ) -> None:
        self._metadata = metadata
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._stores = blobs
        self._limits = limits
        self._walks: dict[StorageClass, Walk] = {}

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

    async def orphans(
        self, report: CollectionReport, deadline: Deadline, *, adopt_unknown: bool = False
    ) -> None:
        """Compare placed blobs with their rows; each run goes on where the last one stopped.

        With `adopt_unknown` it walks from beginning to end, and takes what no row names however
        much it is.
        """
        for storage_class, store in self._stores.items():
            try:
                await self._compare(storage_class, store, report, deadline, adopt_unknown)
            except JustStorageError:
                report.errors += 1
                _log.exception("scan_failed", extra={"storage_class": storage_class.value})

    async def _compare(
        self,
        storage_class: StorageClass,
        store: BlobStore,
        report: CollectionReport,
        deadline: Deadline,
        adopt_unknown: bool,
    ) -> None:
        few = self._limits.adopt_blobs_max
        walk = Walk() if adopt_unknown else replace(self._walks.get(storage_class, Walk()))
        looked_at = left = 0
        while (adopt_unknown or looked_at < self._limits.scan_blobs_max) and not deadline.is_over:
            before = walk.after
            # A whole sample, also where the limit is less: a short one would tell nothing.
            page = await read_sample(store, before)
            if not page:
                walk = Walk()
                if before is None or looked_at:
                    break
                continue  # the last run ended with the last blob: this one has not begun yet
            looked_at += len(page)
            unknown = await unknown_in(self._metadata, storage_class, page)
            if walk.too_many(page, len(unknown), few):
                # Another collector may be removing what this one looks at: files go before rows.
                there = {placed.locator for placed in await read_sample(store, before)}
                again = [placed for placed in unknown if placed.locator in there]
                unknown = await unknown_in(self._metadata, storage_class, again)
            if walk.too_many(page, len(unknown), few) and not adopt_unknown:
                left += len(unknown)
            else:
                await self._take(storage_class, store, unknown, report)
            walk.go_behind(page, len(unknown))
        self._walks[storage_class] = Walk() if adopt_unknown else walk
        report.unknown += left
        if left:
            _log.warning(
                "too_many_unknown_blobs",
                extra={
                    "storage_class": storage_class.value,
                    "unknown": left,
                    "looked_at": looked_at,
                    "detail": _TOO_MANY,
                },
            )

    async def _take(
        self,
        storage_class: StorageClass,
        store: BlobStore,
        unknown: Sequence[PlacedBlob],
        report: CollectionReport,
    ) -> None:
        dead: list[Locator] = []
        for placed in unknown:
            if placed.content_hash is None:
                dead.append(placed.locator)
            elif await self._rows.adopt(
                BlobKey(placed.content_hash, storage_class),
                size_bytes=placed.size_bytes,
                locator=placed.locator,
            ):
                report.adopted += 1
        if dead:
            failures = await store.remove(dead)
            report.swept += len(dead) - len(failures)
            report.errors += len(failures)
