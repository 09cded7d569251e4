"""Collection by age."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from juststorage.ports import Decision, GarbageCandidate, GCPolicy

__all__ = ["AgeOptions", "AgePolicy"]


class AgeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `gc.age`."""

    keep_s: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="Seconds for which garbage is kept beyond its grace, ready to be used "
            "again by an upload of the same bytes; counted from its last reference",
        ),
    ] = 0.0
    free_ratio_min: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="Share of the volume that shall be free; while less is, garbage goes as "
            "soon as its grace is over",
        ),
    ] = 0.1


class AgePolicy(GCPolicy):
    """Collects what has been garbage for `keep_s`, and anything while room is short."""

    def __init__(self, options: AgeOptions) -> None:
        self._keep = timedelta(seconds=options.keep_s)
        self._free_ratio_min = options.free_ratio_min

    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        """Keep or collect; see `AgeOptions`."""
        since = candidate.blob.zero_since
        assert since is not None, "a candidate has no references"
        if now - since >= self._keep:
            return Decision.COLLECT
        space = candidate.space
        if space is None:
            return Decision.KEEP
        free_bytes = space.free_bytes + candidate.freed_bytes
        short = free_bytes < space.total_bytes * self._free_ratio_min
        return Decision.COLLECT if short else Decision.KEEP
