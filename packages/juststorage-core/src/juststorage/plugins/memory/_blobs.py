"""The blob repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from juststorage.domain import Blob, BlobKey, Locator, ObjectStatus, StorageClass
from juststorage.plugins.memory._rows import Rows
from juststorage.ports import BlobRepository, CountDrift, Removal

__all__ = ["MemoryBlobRepository"]

_LOOKED_AT_PER_CLAIM = 10


class MemoryBlobRepository(BlobRepository):
    """See `BlobRepository`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def find(self, keys: Collection[BlobKey]) -> dict[BlobKey, Blob]:
        await checkpoint()
        blobs = self._rows.blobs
        return {key: blobs[key] for key in keys if key in blobs}

    async def locators_in_use(
        self, storage_class: StorageClass, locators: Collection[Locator]
    ) -> set[Locator]:
        await checkpoint()
        of_class = (
            blob.locator
            for key, blob in self._rows.blobs.items()
            if key.storage_class is storage_class
        )
        return set(locators).intersection(each for each in of_class if each is not None)

    async def claim(
        self,
        *,
        grace_s: float,
        claim_s: float,
        limit: int,
        agree: Callable[[Blob, datetime], bool],
        after: Blob | None = None,
    ) -> list[Blob]:
        await checkpoint()
        rows = self._rows
        now = rows.now()
        candidates = sorted(self._candidates(now - timedelta(seconds=grace_s), now, after))
        claimed: list[Blob] = []
        for _, key in candidates[: limit * _LOOKED_AT_PER_CLAIM]:
            if len(claimed) == limit:
                break
            if agree(rows.blobs[key], now):
                claimed.append(rows.blobs[key])
        claimed_until = now + timedelta(seconds=claim_s)
        for blob in claimed:
            rows.blobs[blob.key] = replace(blob, stored_at=None, claimed_until=claimed_until)
        return claimed

    def _candidates(
        self, zero_until: datetime, now: datetime, after: Blob | None
    ) -> list[tuple[datetime, BlobKey]]:
        """Garbage that may be claimed, each with its age to sort by."""
        edge = None
        if after is not None:
            assert after.zero_since is not None, "a candidate has no references"
            edge = (after.zero_since, after.key)
        held_since = self._rows.held_since()
        return [
            (blob.zero_since, key)
            for key, blob in self._rows.blobs.items()
            if blob.zero_since is not None and blob.zero_since <= zero_until
            if held_since is None or blob.zero_since < held_since
            if edge is None or (blob.zero_since, key) > edge
            if blob.claimed_until is None or blob.claimed_until <= now
            if not self._rows.is_locked(key)
        ]

    async def remove(
        self,
        claimed: Sequence[BlobKey],
        move: Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]],
    ) -> Removal:
        rows = self._rows
        await checkpoint()
        await rows.unlocked(claimed)
        known = sorted(set(claimed) & rows.blobs.keys())
        held = self._holders()
        going = [key for key in known if _is_claimed_garbage(rows.blobs[key], held)]
        taken_back = {key: rows.blobs[key].claimed_until for key in known if key not in going}
        moved: set[BlobKey] = set()
        if going:
            with rows.lock(going):
                # The one await inside a transaction. Until it is over nothing has changed, so
                # whatever it raises, cancellation included, rolls back by doing nothing.
                moved = set(await move([rows.blobs[key] for key in going])) & set(going)
        for key, claim in taken_back.items():
            # These rows were not locked: a claim that came meanwhile is another collector's.
            if key in rows.blobs and rows.blobs[key].claimed_until == claim:
                rows.blobs[key] = replace(rows.blobs[key], claimed_until=None)
        removed = [rows.blobs.pop(key) for key in going if key in moved]
        self._bury(moved)
        return Removal(removed, list(taken_back), [key for key in going if key not in moved])

    def _bury(self, gone: Collection[BlobKey]) -> None:
        now = self._rows.now()
        for row in self._rows.objects.values():
            if row.object.status is ObjectStatus.DELETING and row.blob_key in gone:
                row.object = row.object.bury(now)

    def _holders(self) -> Counter[BlobKey]:
        """How many objects hold each blob, counted afresh."""
        return Counter(row.held for row in self._rows.objects.values() if row.held is not None)

    async def adopt(self, key: BlobKey, *, size_bytes: int, locator: Locator) -> bool:
        await checkpoint()
        await self._rows.unlocked([key])
        if key in self._rows.blobs:
            return False
        now = self._rows.now()
        self._rows.blobs[key] = Blob(
            key=key,
            size_bytes=size_bytes,
            ref_count=0,
            locator=locator,
            # Who placed the file may have died before syncing it: nobody has confirmed it durable.
            stored_at=None,
            zero_since=now,
            claimed_until=None,
            first_seen_at=now,
            last_used_at=None,
        )
        return True

    async def distrust(self, key: BlobKey) -> None:
        await checkpoint()
        await self._rows.unlocked([key])
        if key in self._rows.blobs:
            self._rows.blobs[key] = replace(self._rows.blobs[key], stored_at=None)

    async def confirm(self, blob: Blob, locator: Locator) -> bool:
        await checkpoint()
        await self._rows.unlocked([blob.key])
        row = self._rows.blobs.get(blob.key)
        if row is None or row.first_seen_at != blob.first_seen_at:
            return False
        now = self._rows.now()
        is_claimed = row.claimed_until is not None and row.claimed_until > now
        if row.stored_at is not None or is_claimed or not self._is_committed(blob.key):
            return False
        self._rows.blobs[blob.key] = replace(row, stored_at=now, locator=locator)
        return True

    def _is_committed(self, key: BlobKey) -> bool:
        return any(
            row.held == key and row.object.status is ObjectStatus.COMMITTED
            for row in self._rows.objects.values()
        )

    async def scan(self, *, after: BlobKey | None, limit: int) -> list[Blob]:
        await checkpoint()
        keys = sorted(key for key in self._rows.blobs if after is None or key > after)[:limit]
        return [self._rows.blobs[key] for key in keys]

    async def recount(self, keys: Collection[BlobKey], *, repair: bool) -> list[CountDrift]:
        await checkpoint()
        await self._rows.unlocked(list(keys))
        rows = self._rows
        now = rows.now()
        held = self._holders()
        drifts: list[CountDrift] = []
        for key in sorted(set(keys) & rows.blobs.keys()):
            blob, actual = rows.blobs[key], held[key]
            if blob.ref_count == actual:
                continue
            drifts.append(CountDrift(key, blob.ref_count, actual))
            if repair:
                rows.blobs[key] = replace(
                    blob, ref_count=actual, zero_since=None if actual else now
                )
        return drifts


def _is_claimed_garbage(blob: Blob, held: Counter[BlobKey]) -> bool:
    return blob.claimed_until is not None and blob.ref_count == 0 and not held[blob.key]
