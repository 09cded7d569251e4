"""CollectGarbage: one run over everything that nobody needs any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Final

import anyio

from juststorage.errors import JustStorageError, Unavailable
from juststorage.ports import Clock, GCPolicy, MetadataStore
from juststorage.usecases._collection import (
    CollectionLimits,
    CollectionReport,
    Deadline,
    Stores,
    never,
)
from juststorage.usecases._purge_trash import PurgeTrash
from juststorage.usecases._remove_garbage import RemoveGarbage
from juststorage.usecases._sweep import Sweep
from juststorage.usecases._tidy import TidyRows

__all__ = ["CollectGarbage"]

_log: Final = logging.getLogger("juststorage.gc")


class CollectGarbage:
    """Reap, remove, purge, sweep, adopt, bury, forget, tidy; in this order.

    Every step stands alone: one that fails is counted, logged and tried again in the next run, and
    the others go on. Any number of processes may run this at the same time; of one instance there
    is one run at a time, and whoever asks for another waits for it.

    Args:
        on_report: Told what each run did that was no dry one.
        around: What each run, named `run`, and each of its steps is done in; for traces.
        is_paused: While it says so, nothing is begun, and a run ends once the page in hand is done.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Stores,
        policy: GCPolicy,
        *,
        clock: Clock,
        limits: CollectionLimits,
        on_report: Callable[[CollectionReport], None] | None = None,
        around: Callable[[str], AbstractContextManager[object]] = nullcontext,
        is_paused: Callable[[], bool] = never,
    ) -> None:
        self._is_paused = is_paused
        self._on_report = on_report
        self._around = around
        self._clock = clock
        self._limits = limits
        self._garbage = RemoveGarbage(metadata, blobs, policy, clock=clock, limits=limits)
        self._trash = PurgeTrash(metadata, blobs, limits=limits)
        self._sweep = Sweep(metadata, blobs, limits=limits)
        self._tidy = TidyRows(metadata)
        self._running = anyio.Lock()

    async def run(
        self,
        *,
        dry_run: bool = False,
        grace_s: float | None = None,
        seconds_max: float | None = None,
        wait_s: float | None = None,
        adopt_unknown: bool = False,
    ) -> CollectionReport:
        """Collect once.

        Args:
            dry_run: Only count the garbage.
            grace_s: Instead of the configured grace; 0 is safe.
            seconds_max: From when the run ends, with `more`, once the page in hand is done.
            wait_s: How long to wait for a run of this instance that goes on; None for as long as
                it takes.
            adopt_unknown: Somebody has confirmed that this is the database that belongs to the
                stores: look at all placed blobs, and take those without a row however many.

        Raises:
            Unavailable: Another run of this instance went on for longer than `wait_s`.

        Cancellation: between any two steps; what was done stays done, what was moved and not
        removed is put back.
        """
        grace_s = self._limits.grace_s if grace_s is None else grace_s
        if dry_run:
            return await self._preview(grace_s, seconds_max)
        await self._begin(wait_s)
        try:
            with self._around("run"):
                return await self._run(grace_s, seconds_max, adopt_unknown)
        finally:
            self._running.release()

    async def _begin(self, wait_s: float | None) -> None:
        with suppress(anyio.WouldBlock):
            self._running.acquire_nowait()
            return
        try:
            with anyio.fail_after(wait_s):
                await self._running.acquire()
        except TimeoutError as error:
            raise Unavailable("another collection is going on in this process") from error

    async def _preview(self, grace_s: float, seconds_max: float | None) -> CollectionReport:
        report = CollectionReport(dry_run=True, started_at=self._clock.now())
        deadline = Deadline(self._clock, seconds_max)
        await self._garbage.preview(report, deadline, grace_s=grace_s)
        report.finished_at = self._clock.now()
        return report

    async def _run(
        self, grace_s: float, seconds_max: float | None, adopt_unknown: bool
    ) -> CollectionReport:
        report = CollectionReport(dry_run=False, started_at=self._clock.now())
        deadline = Deadline(self._clock, seconds_max, self._is_paused)
        steps: dict[str, Callable[[CollectionReport, Deadline], Awaitable[None]]] = {
            # Uploads that died first: their references are what makes the next step's garbage.
            "reap": self._sweep.reap,
            "remove": partial(self._garbage.run, grace_s=grace_s),
            "purge": self._trash.run,
            "staging": self._sweep.staging,
            "orphans": partial(self._sweep.orphans, adopt_unknown=adopt_unknown),
            "rows": self._sweep.rows,
            "tidy": self._tidy.run,
        }
        for name, step in steps.items():
            if self._is_paused():
                report.more = True
                break
            try:
                with self._around(name):
                    await step(report, deadline)
            except JustStorageError:
                report.errors += 1
                _log.exception("collection_step_failed", extra={"step": name})
        report.finished_at = self._clock.now()
        if self._on_report is not None:
            self._on_report(report)
        return report
