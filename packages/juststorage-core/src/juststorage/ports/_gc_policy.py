"""GCPolicy: which garbage goes now.

**Durability.** A policy keeps nothing, and what it decides is final only once the collector has
done it: the same candidate may be offered again, in this run or in a later one.

**Cancellation.** There is nothing to cancel: `decide` is sync. A run may be given up after it.

**Errors.** None are expected. Whatever a policy raises ends the run as a fault of the plugin; what
was not collected stays.

**Concurrency.** Called inside the claiming transaction, and again for the same candidate where that
is attempted again; several processes may collect at once, each with a policy of its own.
"""

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

    `space` is what the volume had when the run began, None where the blob store has no such notion.
    `freed_bytes` is what the run has taken from that volume since: it is free once the trash is
    purged. Candidates come oldest first, so that a policy can stop once there is enough.
    """

    blob: Blob
    space: Space | None
    freed_bytes: int = 0


class GCPolicy(ABC):
    """Chooses among garbage; it can keep what is garbage, never collect what is not.

    Safety does not rest on it: a blob with references is never offered.
    """

    @abstractmethod
    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        """Keep or collect. Sync, pure and fast: called inside the claiming transaction."""
