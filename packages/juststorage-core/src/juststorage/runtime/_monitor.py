"""The monitor: looks at a running service now and then, and writes down what it sees.

What requests and collections do is counted where they happen; here is what somebody has to ask for.
Of several workers one asks for what is the whole instance's, whoever comes first.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import anyio
import anyio.to_thread
import msgspec

from juststorage.domain import StorageClass
from juststorage.errors import JustStorageError, Unavailable, UnsupportedOperation
from juststorage.metrics import DAMAGES, SERVICE_FAMILIES, Sheet
from juststorage.ports import BlobStore, Clock, MetadataStore, Totals
from juststorage.usecases import CollectionReport, ReadDamage

__all__ = ["FsckResult", "Monitor", "collected", "damage_found", "damaged", "left_alone"]

_FSCK_FILE: Final = "last-fsck.json"

_TICK_S: Final = 1.0
_LOOK_S: Final = 10.0
_ROOM_S_MAX: Final = 5.0
"""A volume that has not told its room within this keeps nobody thinking that it is as it was."""

_REST: Final = 20
"""A count of the whole store is followed by a pause of this many times what it took."""

_COUNT_S_MAX: Final = 900.0
"""For how long nobody else begins to count every content: more than a store gives it."""

_DAMAGE: Final = "juststorage_damage_found_total"
_LEFT_ALONE: Final = "juststorage_gc_left_alone"
_ROOM_ERROR: Final = "juststorage_volume_error"
_LAG: Final = "juststorage_event_loop_lag_seconds"
_LAG_BOUNDS: Final = next(each.bounds for each in SERVICE_FAMILIES if each.name == _LAG)

_log: Final = logging.getLogger("juststorage.monitor")


class FsckResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an audit ended; the time is in seconds since 1970."""

    finished_at: float
    findings: int
    repaired: int

    def keep(self, data_dir: Path) -> bool:
        """Leave it for the service. False where there is no data directory that can be written."""
        new = data_dir / f"{_FSCK_FILE}.{os.getpid()}"
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(self))
            new.replace(data_dir / _FSCK_FILE)
            return True
        return False

    @classmethod
    def last(cls, data_dir: Path) -> Self | None:
        """The last one that was kept; None where there is none that can be read."""
        try:
            return msgspec.json.decode((data_dir / _FSCK_FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None


class Monitor:
    """Fills a sheet from an open service.

    Args:
        sheet: Where to.
        gauges: What backends report of themselves: by metric and instance.
        interval_s: Seconds between two counts of the whole store; 0 for none.
    """

    def __init__(
        self,
        sheet: Sheet,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        gauges: Mapping[tuple[str, str], list[Callable[[], float]]],
        clock: Clock,
        *,
        data_dir: Path,
        interval_s: float,
    ) -> None:
        self._sheet = sheet
        self._metadata = metadata
        self._blobs = blobs
        self._gauges = gauges
        self._clock = clock
        self._data_dir = data_dir
        self._interval_s = interval_s

    async def run(self) -> NoReturn:
        """Look at this process, again and again. Nothing here waits for a store or a file."""
        clock = self._clock
        while True:
            self._read_gauges()
            due = clock.monotonic() + _TICK_S
            await clock.sleep(_TICK_S)
            self._note_lag(max(0.0, clock.monotonic() - due))

    async def watch_room_forever(self, storage_class: StorageClass) -> NoReturn:
        """Look at the room on one volume, again and again, each look when the last one has ended.

        Who waits for a volume that hangs takes no turn meanwhile, so another worker may look.
        """
        while True:
            if self._takes(f"room/{storage_class}", _LOOK_S):
                await self._look_at_room(storage_class)
            await self._clock.sleep(_TICK_S)

    async def watch_audits_forever(self) -> NoReturn:
        """Look for what `fsck` left in the data directory, again and again."""
        while True:
            if self._takes("audit", _LOOK_S):
                await self._look_at_fsck()
            await self._clock.sleep(_TICK_S)

    async def count_forever(self) -> NoReturn:
        """Count what costs the same however many there are, again and again."""
        await self._repeat("totals", self._count, self._interval_s)

    async def count_stored_forever(self) -> NoReturn:
        """Count every content, again and again; apart from all else, because that lasts.

        What somebody counts, nobody else counts meanwhile: of the workers, one.
        """
        await self._repeat("stored", self._count_stored, max(self._interval_s, _COUNT_S_MAX))

    async def _repeat(
        self, what: str, count: Callable[[], Awaitable[None]], alone_s: float
    ) -> NoReturn:
        clock = self._clock
        while True:
            if self._interval_s and self._takes(what, alone_s):
                began = clock.monotonic()
                await count()
                took_s = clock.monotonic() - began
                self._postpone(what, max(self._interval_s, _REST * took_s))
            await clock.sleep(_TICK_S)

    # -- whose turn it is -----------------------------------------------------------------------

    def _takes(self, what: str, pause_s: float) -> bool:
        """Whether it is time, and nobody else's turn. Two at once do no harm."""
        due = self._sheet.common("juststorage_monitor_due_seconds", what)
        if self._clock.monotonic() < due:
            return False
        self._postpone(what, pause_s)
        return True

    def _postpone(self, what: str, pause_s: float) -> None:
        due = self._clock.monotonic() + pause_s
        self._sheet.set_common("juststorage_monitor_due_seconds", due, what)

    # -- what it looks at -----------------------------------------------------------------------

    def _note_lag(self, lag_s: float) -> None:
        first = self._sheet.place(_LAG)
        self._sheet.cells[first + bisect_left(_LAG_BOUNDS, lag_s)] += 1
        self._sheet.cells[first + len(_LAG_BOUNDS) + 1] += lag_s

    def _read_gauges(self) -> None:
        for (name, instance), reads in self._gauges.items():
            self._sheet.set(f"juststorage_backend_{name}", sum(read() for read in reads), instance)

    async def _look_at_room(self, storage_class: StorageClass) -> None:
        # A call in a thread cannot be cut off. It is waited for, and forgotten about in time.
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(self._give_up_room, storage_class)
            try:
                space = await self._blobs[storage_class].space()
            except UnsupportedOperation:
                space = None
            except JustStorageError as error:
                self._forget_room(storage_class, error)
                space = None
            waiting.cancel_scope.cancel()
        if space is not None:
            for name, value in (("total", space.total_bytes), ("free", space.free_bytes)):
                self._sheet.set_common(f"juststorage_volume_{name}_bytes", value, storage_class)
            self._sheet.set_common(_ROOM_ERROR, 0, storage_class)

    async def _give_up_room(self, storage_class: StorageClass) -> None:
        await self._clock.sleep(_ROOM_S_MAX)
        self._forget_room(storage_class, Unavailable("the volume does not answer in time"))

    def _forget_room(self, storage_class: StorageClass, error: JustStorageError) -> None:
        """Show no room: Prometheus takes a series that ends for one that is not known."""
        for name in ("total", "free"):
            self._sheet.forget_common(f"juststorage_volume_{name}_bytes", storage_class)
        news = self._sheet.common(_ROOM_ERROR, storage_class) != 1
        self._sheet.set_common(_ROOM_ERROR, 1, storage_class)
        level = logging.WARNING if news else logging.DEBUG
        fields = {"storage_class": storage_class, "error": error.detail}
        _log.log(level, "volume_room_unknown", extra=fields)

    async def _look_at_fsck(self) -> None:
        # The directory may be on a volume that hangs: the event loop does not wait for it.
        last = partial(FsckResult.last, self._data_dir)
        result = await anyio.to_thread.run_sync(last, abandon_on_cancel=True)
        if result is None:
            return
        self._sheet.set_common("juststorage_fsck_last_run_time_seconds", result.finished_at)
        self._sheet.set_common("juststorage_fsck_findings", result.findings)
        self._sheet.set_common("juststorage_fsck_repaired", result.repaired)

    async def _totals(self, *, physical: bool) -> Totals | None:
        try:
            return await self._metadata.usage.totals(physical=physical)
        except JustStorageError as error:
            # No database; or too many contents to look at each in the time that there is for it.
            _log.debug("totals_unknown", extra={"physical": physical}, exc_info=error)
        return None

    async def _count_stored(self) -> None:
        """Count every content. What cannot be counted stays as it was, with the time it was so."""
        # Stores tell what was so when they began to look: minutes ago, when they are at the end.
        began = self._clock.now()
        totals = await self._totals(physical=True)
        if totals is None:
            return
        put: Callable[..., Any] = self._sheet.set_common
        logical = physical = 0
        for part in totals.parts:
            if part.blobs is None or part.physical_bytes is None:
                return
            put("juststorage_blobs", part.blobs, part.storage_class)
            put("juststorage_physical_bytes", part.physical_bytes, part.storage_class)
            logical += part.logical_bytes
            physical += part.physical_bytes
        # Of one moment, both.
        put("juststorage_dedup_ratio", logical / physical if physical else 1.0)
        put("juststorage_stored_counted_time_seconds", began.timestamp())

    async def _count(self) -> None:
        totals = await self._totals(physical=False)
        if totals is None:
            return
        put: Callable[..., Any] = self._sheet.set_common
        for part in totals.parts:
            put("juststorage_objects", part.objects, part.storage_class)
            put("juststorage_logical_bytes", part.logical_bytes, part.storage_class)
        put("juststorage_tenants", totals.tenants)
        now = self._clock.now()
        since = totals.garbage_since
        age_s = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        put("juststorage_gc_oldest_garbage_age_seconds", age_s)
        put("juststorage_counted_time_seconds", now.timestamp())


def collected(sheet: Sheet, report: CollectionReport) -> None:
    """Count a collection that ended."""
    assert report.finished_at is not None
    sheet.add("juststorage_gc_runs_total", 1, "failed" if report.errors else "done")
    sheet.set_common("juststorage_gc_last_run_time_seconds", report.finished_at.timestamp())
    sheet.set_common(_LEFT_ALONE, report.unknown)
    took = report.finished_at - report.started_at
    sheet.add("juststorage_gc_seconds_total", max(0.0, took.total_seconds()))
    for name, count in (
        ("gc_claimed_blobs_total", report.claimed),
        ("gc_removed_blobs_total", report.removed),
        ("gc_removed_bytes_total", report.bytes_removed),
        ("gc_restored_blobs_total", report.restored),
        ("gc_purged_blobs_total", report.purged),
        ("gc_swept_entries_total", report.swept),
        ("gc_adopted_blobs_total", report.adopted),
        ("gc_unknown_blobs_total", report.unknown),
        ("gc_errors_total", report.errors),
        ("upload_leases_reaped_total", report.reaped),
    ):
        sheet.add(f"juststorage_{name}", count)


def left_alone(sheet: Sheet) -> float:
    """What the last collection of this instance left alone, too many; NaN before the first."""
    return sheet.common(_LEFT_ALONE)


def damaged(sheet: Sheet, storage_class: StorageClass, damage: ReadDamage) -> None:
    """Count damage that a read found."""
    sheet.add(_DAMAGE, 1, storage_class.value, damage)


def damage_found(sheet: Sheet) -> float:
    """How often damage was found by all workers of this instance. Asked for with every download."""
    value = sheet.table.value
    return sum(value(_DAMAGE, each.value, kind) for each in StorageClass for kind in DAMAGES)
