"""CollectGarbage: one run over everything that nobody needs any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from juststorage.domain import StorageClass
from juststorage.errors import JustStorageError
from juststorage.ports import BlobStore, Clock, GCPolicy, MetadataStore
from juststorage.usecases._collection import CollectionLimits, CollectionReport
from juststorage.usecases._purge_trash import PurgeTrash
from juststorage.usecases._remove_garbage import RemoveGarbage
from juststorage.usecases._sweep import Sweep

__all__ = ["CollectGarbage"]

_log: Final = logging.getLogger("juststorage.gc")


class CollectGarbage:
    """Reap, remove, purge, sweep, adopt, bury, forget; in this order.

    Every step stands alone: one that fails is counted, logged and tried again in the next run, and
    the others go on. Any number of processes may run this at the same time.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        policy: GCPolicy,
        *,
        clock: Clock,
        limits: CollectionLimits,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._garbage = RemoveGarbage(metadata, blobs, policy, clock=clock, limits=limits)
        self._trash = PurgeTrash(metadata, blobs, limits=limits)
        self._sweep = Sweep(metadata, blobs, limits=limits)

    async def run(self, *, dry_run: bool = False, grace_s: float | None = None) -> CollectionReport:
        """Collect once.

        Args:
            dry_run: Only count the garbage.
            grace_s: Instead of the configured grace; 0 is safe.

        Cancellation: between any two steps; what was done stays done, what was moved and not
        removed is put back.
        """
        grace = self._limits.grace_s if grace_s is None else grace_s
        report = CollectionReport(dry_run=dry_run, started_at=self._clock.now())
        if dry_run:
            await self._garbage.preview(report, grace_s=grace)
        else:
            # Uploads that died first: their references are what makes the next step's garbage.
            await self._step("reap", self._sweep.reap, report)
            await self._step("remove", lambda r: self._garbage.run(r, grace_s=grace), report)
            await self._step("purge", self._trash.run, report)
            await self._step("staging", self._sweep.staging, report)
            await self._step("orphans", self._sweep.orphans, report)
            await self._step("rows", self._sweep.rows, report)
        report.finished_at = self._clock.now()
        return report

    @staticmethod
    async def _step(
        name: str, run: Callable[[CollectionReport], Awaitable[None]], report: CollectionReport
    ) -> None:
        try:
            await run(report)
        except JustStorageError:
            report.errors += 1
            _log.exception("collection_step_failed", extra={"step": name})
