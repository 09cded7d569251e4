"""What the service itself measures; the HTTP interface adds its own."""

from __future__ import annotations

import sys
from typing import Final, Literal

from juststorage import __version__
from juststorage.domain import StorageClass
from juststorage.metrics._families import Family

__all__ = ["BUILD_INFO", "DAMAGES", "INSTANCES", "SERVICE_FAMILIES", "BackendGauge"]

INSTANCES: Final = ("metadata", "blobs.hot", "blobs.cold")
"""The backends that may report numbers of their own."""

BackendGauge = Literal["connections", "connections_in_use", "waiting"]
"""What a backend may report: open connections, those in use, and calls that wait for a batch."""

DAMAGES: Final = ("missing", "size", "hash", "unreadable")
"""What a read may find: nothing, another length, other bytes, or bytes that cannot be read."""

_CLASS: Final = (("storage_class", tuple(each.value for each in StorageClass)),)
_ROOMS: Final = tuple(f"room/{each.value}" for each in StorageClass)
_INSTANCE: Final = (("backend", INSTANCES),)
_LAG_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_TOTALLED: Final = "kept as a total, exact as of juststorage_counted_time_seconds"
_LOOKED: Final = "counted one by one, exact as of juststorage_stored_counted_time_seconds"


def _gauge(
    name: str,
    text: str,
    labels: tuple[tuple[str, tuple[str, ...]], ...] = (),
    *,
    common: bool = True,
) -> Family:
    return Family(name=name, text=text, kind="gauge", labels=labels, common=common)


BUILD_INFO: Final = _gauge(
    "juststorage_build_info",
    "1, with the versions of what runs as labels.",
    (
        ("version", (__version__,)),
        ("python", (".".join(map(str, sys.version_info[:3])),)),
    ),
)

SERVICE_FAMILIES: Final = (
    Family(
        name="juststorage_monitor_due_seconds",
        text="When the next look is due, on the monotonic clock of the machine.",
        kind="gauge",
        labels=(("what", (*_ROOMS, "audit", "totals", "stored", "read_only")),),
        common=True,
        hidden=True,
    ),
    BUILD_INFO,
    _gauge("juststorage_workers", "Server processes that are ready.", common=False),
    Family(
        name="juststorage_worker_starts_total",
        text="Server processes that became ready; more than there are workers means restarts.",
    ),
    _gauge(
        "juststorage_start_time_seconds",
        "When the first worker of this instance became ready, since 1970.",
    ),
    _gauge("juststorage_read_only", "1 while changes are refused, else 0."),
    Family(
        name="juststorage_read_only_turns",
        text="How often the switch of read-only mode was turned, as far as this instance knows.",
        kind="gauge",
        common=True,
        hidden=True,
    ),
    Family(
        name="juststorage_event_loop_lag_seconds",
        text="How late the event loop of a worker was, looked at once a second.",
        kind="histogram",
        bounds=_LAG_BOUNDS,
    ),
    _gauge(
        "juststorage_backend_connections",
        "Connections that a backend holds open.",
        _INSTANCE,
        common=False,
    ),
    _gauge(
        "juststorage_backend_connections_in_use",
        "Connections of a backend that work at this moment.",
        _INSTANCE,
        common=False,
    ),
    _gauge(
        "juststorage_backend_waiting",
        "Calls that wait to be gathered into a batch of a backend.",
        _INSTANCE,
        common=False,
    ),
    _gauge("juststorage_tenants", f"Tenants that have objects; {_TOTALLED}."),
    _gauge("juststorage_objects", f"Committed objects; {_TOTALLED}.", _CLASS),
    _gauge("juststorage_logical_bytes", f"Sizes of all committed objects; {_TOTALLED}.", _CLASS),
    _gauge("juststorage_blobs", f"Contents that are stored, garbage included; {_LOOKED}.", _CLASS),
    _gauge("juststorage_physical_bytes", f"Sizes of contents, each once; {_LOOKED}.", _CLASS),
    _gauge(
        "juststorage_dedup_ratio",
        f"Logical by physical bytes, below 1 while garbage waits to be collected; {_LOOKED}.",
    ),
    _gauge(
        "juststorage_counted_time_seconds",
        "When the totals of tenants, objects and logical bytes were read, since 1970.",
    ),
    _gauge(
        "juststorage_stored_counted_time_seconds",
        "When the last count of contents and physical bytes began, since 1970: up to an hour ago"
        " where there are a hundred million.",
    ),
    _gauge(
        "juststorage_volume_total_bytes",
        "Size of the volume of a storage class; not shown while it is unknown.",
        _CLASS,
    ),
    _gauge(
        "juststorage_volume_free_bytes",
        "Room for uploads of a storage class: what is free, without the reserve; not shown while"
        " it is unknown.",
        _CLASS,
    ),
    _gauge(
        "juststorage_volume_error",
        "1 while the volume of a storage class does not tell its room, in time or at all, else 0.",
        _CLASS,
    ),
    Family(
        name="juststorage_damage_found_total",
        text="Reads that found stored bytes damaged. No such read ends as a complete answer.",
        labels=(*_CLASS, ("damage", DAMAGES)),
    ),
    Family(
        name="juststorage_gc_runs_total",
        text="Collections that have ended.",
        labels=(("outcome", ("done", "failed")),),
    ),
    Family(name="juststorage_gc_seconds_total", text="Time spent on collections."),
    _gauge("juststorage_gc_last_run_time_seconds", "When a collection ended last, since 1970."),
    Family(name="juststorage_gc_claimed_blobs_total", text="Garbage that was taken on."),
    Family(name="juststorage_gc_removed_blobs_total", text="Garbage moved to the trash."),
    Family(name="juststorage_gc_removed_bytes_total", text="Its bytes."),
    Family(
        name="juststorage_gc_restored_blobs_total",
        text="Blobs that came back from the trash because something refers to them.",
    ),
    Family(name="juststorage_gc_purged_blobs_total", text="Trash deleted for good."),
    Family(name="juststorage_gc_swept_entries_total", text="Leftovers of dead uploads deleted."),
    Family(
        name="juststorage_gc_adopted_blobs_total",
        text="Stored contents without a row that became garbage.",
    ),
    Family(
        name="juststorage_gc_unknown_blobs_total",
        text="Stored contents without a row that were left alone because there are so many,"
        " counted by every collection that finds them.",
    ),
    Family(
        name="juststorage_gc_left_alone",
        text="How many those of the last collection are.",
        kind="gauge",
        common=True,
        hidden=True,
    ),
    Family(
        name="juststorage_upload_leases_reaped_total",
        text="Uploads that were given up because they had lost their lease.",
    ),
    Family(
        name="juststorage_gc_errors_total",
        text="What failed in collections, and is tried again by the next.",
    ),
    _gauge(
        "juststorage_gc_oldest_garbage_age_seconds",
        "How long the oldest content without references has been there; 0 without any.",
    ),
    _gauge("juststorage_fsck_last_run_time_seconds", "When an audit ended last, since 1970."),
    _gauge("juststorage_fsck_findings", "Breaches that the last audit found."),
    _gauge("juststorage_fsck_repaired", "Those of them that it mended."),
)
