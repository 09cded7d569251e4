"""GCPolicy: which garbage goes now."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from enum import Enum

import msgspec

from juststorage.domain import Blob
from juststorage.ports._blob_store import Space

__all__ = ["Decision", "GCPolicy", "GarbageCandidate"]


class Decision(Enum):
    """What to do with a candidate."""

    KEEP = "keep"
    COLLECT = "collect"


class GarbageCandidate(msgspec.Struct, frozen=True, gc=False):
    """A blob without references whose grace period is over, and the room on its volume.

    `space` is None where the blob store cannot tell.
    """

    blob: Blob
    space: Space | None


class GCPolicy(ABC):
    """Chooses among garbage; it can keep what is garbage, never collect what is not.

    Safety does not rest on it: a blob with references is never offered.
    """

    @abstractmethod
    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        """Keep or collect. Sync, pure and fast: called inside the claiming transaction."""
