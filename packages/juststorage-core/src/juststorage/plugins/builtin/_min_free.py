"""Collection under pressure only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from juststorage.ports import Decision, GarbageCandidate, GCPolicy

__all__ = ["MinFreeOptions", "MinFreePolicy"]


class MinFreeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `gc.min_free`."""

    free_bytes: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="Bytes of the volume that shall be free; while fewer are, garbage goes",
        ),
    ] = 0
    free_percent: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=100,
            description="Percent of the volume that shall be free; of the two bounds the higher"
            " one counts. What goes is free once the trash is purged: see gc.trash_retention_s",
        ),
    ] = 10.0


class MinFreePolicy(GCPolicy):
    """Keeps garbage, ready for an upload of the same bytes, until room is short.

    Then the oldest goes first, and no more than it takes. On a store that has no notion of room
    there is nothing to wait for: there garbage goes once its grace is over.
    """

    def __init__(self, options: MinFreeOptions) -> None:
        self._free_bytes = options.free_bytes
        self._share = options.free_percent / 100

    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        """Keep or collect; see `MinFreeOptions`."""
        space = candidate.space
        if space is None:
            return Decision.COLLECT
        wanted_bytes = max(self._free_bytes, space.total_bytes * self._share)
        short = space.free_bytes + candidate.freed_bytes < wanted_bytes
        return Decision.COLLECT if short else Decision.KEEP
