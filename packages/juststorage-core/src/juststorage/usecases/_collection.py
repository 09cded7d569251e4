"""What a collection may do, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from juststorage.domain import StorageClass
from juststorage.ports import BlobStore, Clock
from juststorage.usecases._unknown import FEW_MAX

__all__ = ["CollectionLimits", "CollectionReport", "Deadline", "Stores", "never"]

Stores: TypeAlias = Mapping[StorageClass, BlobStore]
"""The blob store of each class that is offered here."""


class CollectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How a collection goes about it. Safety rests on none of them: every one may be 0.

    Args:
        grace_s: Seconds that a blob without references is kept.
        claim_s: Seconds for which a claim keeps other collectors away.
        trash_retention_s: Seconds that removed bytes can still be restored.
        staging_grace_s: Seconds without a write after which staged bytes may be swept.
        tombstone_retention_s: Seconds that the rows of deleted objects are kept.
        batch_size: Blobs that are removed under one lock; uploads of their bytes wait that long.
        rate_max_blobs_s: Blobs removed per second at most; 0 for no limit.
        run_blobs_max: Blobs that one run removes at most; the rest is for the next.
        scan_blobs_max: Placed blobs that one run compares with their rows, in pages of 1,000.
        adopt_blobs_max: Bytes without a row that are taken though they are more than a tenth of
            their page, or of what the walk has seen; 100 at most, which is a tenth of a page.
    """

    grace_s: float = 3600.0
    claim_s: float = 300.0
    trash_retention_s: float = 86_400.0
    staging_grace_s: float = 3600.0
    tombstone_retention_s: float = 604_800.0
    batch_size: int = 64
    rate_max_blobs_s: float = 0.0
    run_blobs_max: int = 100_000
    scan_blobs_max: int = 10_000
    adopt_blobs_max: int = FEW_MAX

    def __post_init__(self) -> None:
        assert 0 <= self.adopt_blobs_max <= FEW_MAX, "more would be a volume, page by page"


class CollectionReport(msgspec.Struct, kw_only=True):
    """What one run did; with `dry_run`, what it would have claimed and removed.

    Args:
        reaped: Uploads that had lost their lease.
        claimed, removed, bytes_removed: Garbage; less is removed than claimed when uploads took
            some back.
        restored: Blobs that came back from the trash because a row names them.
        purged: Trash deleted for good.
        swept: Staged leftovers and orphaned generations deleted.
        adopted: Placed blobs that had no row, and now have one without references.
        unknown: Placed bytes without a row that were left alone, because they are too many.
        buried: Deleted objects whose bytes live on for others, now tombstones.
        forgotten: Tombstones deleted.
        errors: Blobs, or whole steps, that failed; they are tried again in the next run.
        more: Whether a limit ended the run before the garbage did.
    """

    dry_run: bool
    started_at: datetime
    finished_at: datetime | None = None
    reaped: int = 0
    claimed: int = 0
    removed: int = 0
    bytes_removed: int = 0
    restored: int = 0
    purged: int = 0
    swept: int = 0
    adopted: int = 0
    unknown: int = 0
    buried: int = 0
    forgotten: int = 0
    errors: int = 0
    more: bool = False


def never() -> bool:
    """The pause of those who are never told to pause."""
    return False


class Deadline:
    """When a run has to come to its end, with what is left for the next one.

    Args:
        seconds_max: From now on; None for no end.
        is_paused: Whether it has to end at once.
    """

    def __init__(
        self,
        clock: Clock,
        seconds_max: float | None = None,
        is_paused: Callable[[], bool] = never,
    ) -> None:
        self._clock = clock
        self._until = None if seconds_max is None else clock.monotonic() + seconds_max
        self._is_paused = is_paused

    @property
    def is_over(self) -> bool:
        """Whether it has passed. Asked between two pages, so a run goes on for one longer."""
        if self._is_paused():
            return True
        return self._until is not None and self._clock.monotonic() >= self._until
