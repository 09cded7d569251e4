"""AuditStore: the invariants of the storage protocol, checked on a store that is in use.

One function checks them; `juststorage fsck` prints what it finds, and every test of the whole
service ends with it. It reads page by page, so memory does not grow with the store, and raises no
false alarm next to running uploads and collectors: what looks wrong is looked at again, from the
row on, and only what is still wrong, with the row unchanged, is a finding.

- I1: every COMMITTED object has its blob row, same class and size. No row is ever invented.
- I2: every stored blob has its bytes (deep: with its hash). Repair looks for them in the trash, and
  else withdraws `stored_at`, so that the next upload of the same bytes mends it.
- I3: ref_count is the number of objects that hold the blob. Repair sets it, under the row's lock.
- I4: no placed blob is without a row. Repair adopts it; the collector decides later.
- I5: no staged bytes are without a live upload. Repair discards them.
- I6: no WRITING object has a lease that is long over. Repair reaps it.
- I7: a key is held by one object. Not repaired: a person must choose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import anyio.to_thread
import msgspec

from juststorage.domain import (
    Blob,
    BlobKey,
    ContentHash,
    Locator,
    ObjectId,
    ObjectStatus,
    StorageClass,
    StoredObject,
)
from juststorage.errors import NotFound, UnsupportedOperation
from juststorage.ports import BlobStore, Clock, Hasher, MetadataStore

__all__ = ["AuditLimits", "AuditStore", "Finding"]

_PAGE: Final = 500


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How an audit goes about it.

    Args:
        deep: Read every stored blob and compare its hash with its name.
        deep_bytes_s: Bytes per second that a deep audit reads at most; 0 for no limit.
        repair: Mend what can be mended without removing bytes that a row names.
        staging_grace_s: Age from which staged bytes without a live upload are a finding.
        lease_grace_s: Time after the end of a lease from which a WRITING object is a finding.
    """

    deep: bool = False
    deep_bytes_s: int = 0
    repair: bool = False
    staging_grace_s: float = 3600.0
    lease_grace_s: float = 3600.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of one invariant.

    Args:
        invariant: `I1` to `I7`.
        subject: What it is about: an object id, a blob, a locator, an upload id.
        detail: What is wrong, in one sentence.
        repaired: Whether this audit mended it.
    """

    invariant: str
    subject: str
    detail: str
    repaired: bool = False


class AuditStore:
    """Walks objects, blobs and stores once; see the module for what it looks for."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        clock: Clock,
        limits: AuditLimits,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._stores = blobs
        self._hashers = hashers
        self._clock = clock
        self._limits = limits

    async def findings(self) -> AsyncIterator[Finding]:
        """Every breach, as it is found.

        Raises:
            Unavailable: A part does not answer, so that the audit cannot go on.
        """
        async for finding in self._audit_objects():
            yield finding
        async for finding in self._audit_blobs():
            yield finding
        for storage_class, store in self._stores.items():
            async for finding in self._audit_placed(storage_class, store):
                yield finding
            async for finding in self._audit_staged(store):
                yield finding
        async for finding in self._audit_leases():
            yield finding

    # -- objects: I1, I7 ----------------------------------------------------------------------

    async def _audit_objects(self) -> AsyncIterator[Finding]:
        after: ObjectId | None = None
        while page := await self._objects.scan(after=after, limit=_PAGE):
            after = page[-1].id
            committed = [each for each in page if each.status is ObjectStatus.COMMITTED]
            rows = await self._rows.find({_blob_of(each) for each in committed})
            for each in committed:
                if self._disagrees(each, rows) and (wrong := await self._still_wrong(each)):
                    yield Finding(invariant="I1", subject=each.id, detail=wrong)
                if each.key is not None and await self._shares_key(each):
                    yield Finding(
                        invariant="I7", subject=each.id, detail="another object holds its key too"
                    )

    @staticmethod
    def _disagrees(stored: StoredObject, rows: Mapping[BlobKey, Blob]) -> bool:
        row = rows.get(_blob_of(stored))
        return row is None or row.size_bytes != stored.size_bytes or row.stored_at is None

    async def _still_wrong(self, stored: StoredObject) -> str | None:
        """What is wrong with the object now; None if nothing is, or it is gone."""
        key = _blob_of(stored)
        row = (await self._rows.find([key])).get(key)
        # The object last: if it is still there after its row was not, the row was missing.
        if await self._objects.find(stored.tenant_id, stored.id) is None:
            return None
        if row is None:
            return "it is COMMITTED and has no blob row"
        if row.size_bytes != stored.size_bytes:
            return f"it has {stored.size_bytes} bytes and its blob {row.size_bytes}"
        return None if row.stored_at is not None else "it is COMMITTED and its blob is not stored"

    async def _shares_key(self, stored: StoredObject) -> bool:
        assert stored.key is not None
        holder = await self._objects.find_by_key(stored.tenant_id, stored.namespace, stored.key)
        if holder is None or holder.id == stored.id:
            return False
        again = await self._objects.find(stored.tenant_id, stored.id)
        return again is not None and again.key == stored.key

    # -- blobs: I2, I3 ------------------------------------------------------------------------

    async def _audit_blobs(self) -> AsyncIterator[Finding]:
        after: BlobKey | None = None
        while page := await self._rows.scan(after=after, limit=_PAGE):
            after = page[-1].key
            drifts = await self._rows.recount([row.key for row in page], repair=self._limits.repair)
            for drift in drifts:
                yield Finding(
                    invariant="I3",
                    subject=_name(drift.key),
                    detail=f"it counts {drift.recorded} references and has {drift.actual}",
                    repaired=self._limits.repair,
                )
            for row in page:
                if row.stored_at is not None and (finding := await self._audit_bytes(row)):
                    yield finding

    async def _audit_bytes(self, row: Blob) -> Finding | None:
        store = self._stores.get(row.key.storage_class)
        if store is None or row.locator is None:
            return None
        wrong = await self._wrong_bytes(store, row)
        if wrong is None:
            return None
        current = (await self._rows.find([row.key])).get(row.key)
        if current is None or current.stored_at != row.stored_at or current.locator != row.locator:
            return None  # collected, or placed anew, while we looked
        wrong = await self._wrong_bytes(store, row)
        if wrong is None:
            return None
        repaired = False
        if self._limits.repair:
            repaired = await self._restored(store, row)
            if not repaired:
                await self._rows.distrust(row.key)
        return Finding(invariant="I2", subject=_name(row.key), detail=wrong, repaired=repaired)

    async def _wrong_bytes(self, store: BlobStore, row: Blob) -> str | None:
        assert row.locator is not None
        size = await store.stat(row.locator)
        if size is None:
            return "its bytes are missing"
        if size != row.size_bytes:
            return f"it has {size} bytes instead of {row.size_bytes}"
        if self._limits.deep and not await self._has_its_hash(store, row.locator, row.key):
            return "its bytes do not have its hash"
        return None

    async def _has_its_hash(self, store: BlobStore, locator: Locator, key: BlobKey) -> bool:
        hasher = self._hashers.get(key.content_hash.algorithm)
        if hasher is None:
            return True  # named by a hasher that is not installed here
        state, started, read = hasher.new(), self._clock.monotonic(), 0
        try:
            async with await store.open(locator) as reader:
                async for part in reader.chunks(0, reader.size_bytes):
                    await anyio.to_thread.run_sync(state.update, part)
                    read += len(part)
                    await self._keep_rate(read, started)
        except NotFound:
            return False
        return ContentHash.of(hasher.algorithm, state.digest()) == key.content_hash

    async def _keep_rate(self, read: int, started: float) -> None:
        if self._limits.deep_bytes_s > 0:
            due = read / self._limits.deep_bytes_s - (self._clock.monotonic() - started)
            if due > 0:
                await self._clock.sleep(due)

    async def _restored(self, store: BlobStore, row: Blob) -> bool:
        assert row.locator is not None
        if await store.stat(row.locator) is not None:
            return False  # wrong bytes in place stay: they may be all that a person can recover
        try:
            return await store.restore(row.locator)
        except UnsupportedOperation:
            return False

    # -- stores: I4, I5, I6 -------------------------------------------------------------------

    async def _audit_placed(
        self, storage_class: StorageClass, store: BlobStore
    ) -> AsyncIterator[Finding]:
        after: Locator | None = None
        while page := await store.scan(after=after, limit=_PAGE):
            after = page[-1].locator
            named = {
                BlobKey(placed.content_hash, storage_class): placed
                for placed in page
                if placed.content_hash is not None
            }
            rows = await self._rows.find(named)
            for key in named.keys() - rows.keys():
                placed = named[key]
                # The file first, then the row: a row goes only after its file, and comes before.
                if await store.stat(placed.locator) is None or await self._rows.find([key]):
                    continue
                repaired = self._limits.repair and await self._rows.adopt(
                    key, size_bytes=placed.size_bytes, locator=placed.locator
                )
                yield Finding(
                    invariant="I4",
                    subject=placed.locator,
                    detail="it is placed and has no row",
                    repaired=repaired,
                )

    async def _audit_staged(self, store: BlobStore) -> AsyncIterator[Finding]:
        entries = await store.staged(older_than_s=self._limits.staging_grace_s, limit=_PAGE)
        alive = await self._objects.live_uploads([entry.upload_id for entry in entries])
        dead = [entry for entry in entries if entry.upload_id not in alive]
        if self._limits.repair:
            await store.discard(dead)
        for entry in dead:
            yield Finding(
                invariant="I5",
                subject=entry.upload_id,
                detail="it is staged and its upload is not alive",
                repaired=self._limits.repair,
            )

    async def _audit_leases(self) -> AsyncIterator[Finding]:
        expired = await self._objects.expired(older_than_s=self._limits.lease_grace_s, limit=_PAGE)
        repaired: Sequence[ObjectId] = []
        if expired and self._limits.repair:
            repaired = await self._objects.reap(limit=_PAGE)
        for upload_id in expired:
            yield Finding(
                invariant="I6",
                subject=upload_id,
                detail="it is WRITING and its lease is over",
                repaired=upload_id in repaired,
            )


def _blob_of(stored: StoredObject) -> BlobKey:
    assert stored.content_hash is not None
    return BlobKey(stored.content_hash, stored.storage_class)


def _name(key: BlobKey) -> str:
    return f"{key.storage_class}/{key.content_hash}"
