"""Judging: what a policy says about garbage, candidate by candidate, and where that has come to."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.errors import JustStorageError
from juststorage.ports import Decision, GarbageCandidate, GCPolicy, Space
from juststorage.usecases._collection import CollectionReport, Stores

__all__ = ["Judging", "rooms_of"]

_log: Final = logging.getLogger("juststorage.gc")


async def rooms_of(stores: Stores, report: CollectionReport) -> dict[StorageClass, Space | None]:
    """The room on each volume. A store that cannot say is left out of this run, and counted."""
    rooms: dict[StorageClass, Space | None] = {}
    for storage_class, store in stores.items():
        try:
            rooms[storage_class] = await store.space()
        except JustStorageError:
            report.errors += 1
            _log.exception("space_failed", extra={"storage_class": storage_class.value})
    return rooms


class Judging:
    """The policy's answers in one run, and the place in the order of candidates.

    Args:
        rooms: The room on the volumes of this run. Garbage of another class is kept: its bytes
            could not be removed here.
        after: Where to begin; None for the oldest.
        only_looks: Refuse everything, and count what would be agreed to.
    """

    def __init__(
        self,
        policy: GCPolicy,
        rooms: Mapping[StorageClass, Space | None],
        *,
        after: Blob | None = None,
        only_looks: bool = False,
    ) -> None:
        self.last = after
        self.asked = 0
        self.agreed = 0
        self.agreed_bytes = 0
        self._policy = policy
        self._rooms = rooms
        self._only_looks = only_looks
        self._freed_bytes: defaultdict[StorageClass, int] = defaultdict(int)
        # Since the last `settle`. By key: a claim that is attempted again asks again.
        self._agreed: dict[BlobKey, Blob] = {}
        self._pending_bytes: defaultdict[StorageClass, int] = defaultdict(int)

    def agrees(self, blob: Blob, now: datetime) -> bool:
        """The answer for a claim."""
        self.last = blob
        self.asked += 1
        storage_class = blob.key.storage_class
        if storage_class not in self._rooms:
            return False
        freed_bytes = self._freed_bytes[storage_class] + self._pending_bytes[storage_class]
        candidate = GarbageCandidate(blob, self._rooms[storage_class], freed_bytes)
        if self._policy.decide(candidate, now) is not Decision.COLLECT:
            return False
        if blob.key not in self._agreed:
            self._agreed[blob.key] = blob
            self._pending_bytes[storage_class] += blob.size_bytes
        return not self._only_looks

    def settle(self, claimed: Iterable[Blob]) -> None:
        """A claim is done, with this outcome."""
        taken = self._agreed.values() if self._only_looks else claimed
        for blob in taken:
            self.agreed += 1
            self.agreed_bytes += blob.size_bytes
            self._freed_bytes[blob.key.storage_class] += blob.size_bytes
        self._agreed.clear()
        self._pending_bytes.clear()

    def give_back(self, blobs: Iterable[Blob]) -> None:
        """These were claimed, and are not removed: their bytes are not free."""
        for blob in blobs:
            self._freed_bytes[blob.key.storage_class] -= blob.size_bytes
