"""AuditStore: the invariants of the storage protocol, checked on a store that is in use.

One function checks them; `juststorage fsck` prints what it finds, and every test of the whole
service ends with it. It reads page by page, so memory does not grow with the store, and raises no
false alarm next to running uploads and collectors: what looks wrong is looked at again, from the
row on, and only what is still wrong, with the row unchanged, is a finding.

- I1: every COMMITTED object has its blob row, same class and size, stored. No row is ever invented.
  Repair confirms a blob whose bytes turn out whole. What is known to be lost is a finding of every
  audit until an upload of the same bytes heals it.
- I2: every stored blob has its bytes (deep: with its hash). Repair looks for them in the trash, and
  else withdraws `stored_at`, so that the next upload of the same bytes mends it.
- I3: ref_count is the number of objects that hold the blob. Repair sets it, under the row's lock.
- I4: no placed blob is without a row. Repair adopts it; the collector decides later. Of too many
  it adopts none, as the collector does not: the database may be the wrong one.
- I5: no staged bytes are without a live upload. Repair discards them.
- I6: no WRITING object has a lease that is long over. Repair reaps it.
- I7: a key is held by one object. Not repaired: a person must choose.
- I12: what is counted for a tenant is what it has (`_audit_usage`). Repair counts anew.

Half a restore is told first, and then nothing is repaired: most of what is found comes of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import anyio
from msgspec.structs import replace

from juststorage.domain import (
    Blob,
    BlobKey,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StorageClass,
    StoredObject,
)
from juststorage.errors import JustStorageError
from juststorage.ports import (
    BlobStore,
    Clock,
    Hasher,
    MetadataStore,
    PlacedBlob,
    StagedEntry,
)
from juststorage.usecases._audit_bytes import BytesAudit
from juststorage.usecases._audit_usage import audit_usage
from juststorage.usecases._backup import unfinished_restore
from juststorage.usecases._finding import AFFECTED_MAX, Affected, AuditLimits, Finding
from juststorage.usecases._unknown import Walk, read_sample

__all__ = ["AuditLimits", "AuditStore", "Finding"]

_PAGE: Final = 500

_TOO_MANY: Final = (
    ", like too many others; if this is the right database, `juststorage gc run --adopt-unknown`"
    " adopts them"
)


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
        self._backups = metadata.backups
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._usage = metadata.usage
        self._stores = blobs
        self._limits = self._asked = limits
        self._bytes = BytesAudit(blobs, hashers, clock, bytes_s=limits.deep_bytes_s)

    async def findings(self) -> AsyncIterator[Finding]:
        """Every breach, as it is found.

        Raises:
            Unavailable: A part does not answer, so that the audit cannot go on.
            Misconfigured: There are blobs of a class that is not configured here.
        """
        unfinished = await unfinished_restore(self._backups)
        # Counts come back before their objects: to repair them then would undo the restore.
        repair = self._asked.repair and unfinished is None
        self._limits = replace(self._asked, repair=repair)
        if unfinished is not None:
            yield Finding(
                invariant="restore",
                subject=unfinished.backup_id,
                detail=f"{unfinished}; until then nothing is repaired, and the rest may come of it",
            )
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
        async for finding in audit_usage(self._usage, repair=self._limits.repair):
            yield finding

    # -- objects: I1, I7 ----------------------------------------------------------------------

    async def _audit_objects(self) -> AsyncIterator[Finding]:
        after: ObjectId | None = None
        while page := await self._objects.scan(after=after, limit=_PAGE):
            after = page[-1].id
            committed = [each for each in page if each.status is ObjectStatus.COMMITTED]
            rows = await self._rows.find({_blob_of(each) for each in committed})
            others = await self._holders_of_keys(committed)
            for each in committed:
                row = rows.get(_blob_of(each))
                if (row is None or row.size_bytes != each.size_bytes) and (
                    wrong := await self._still_wrong(each)
                ):
                    yield _of_object("I1", each, wrong)
                if each.id in others and await self._still_has_its_key(each):
                    yield _of_object("I7", each, "another object holds its key too")

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
        return None

    async def _holders_of_keys(self, stored: Sequence[StoredObject]) -> set[ObjectId]:
        """Those whose key leads to another object. Asked at once: a store gathers what waits."""
        found: set[ObjectId] = set()
        errors: list[JustStorageError] = []

        async def ask(each: StoredObject, key: ObjectKey) -> None:
            try:
                holder = await self._objects.find_by_key(each.tenant_id, each.namespace, key)
            except JustStorageError as error:
                errors.append(error)
                return
            if holder is not None and holder.id != each.id:
                found.add(each.id)

        async with anyio.create_task_group() as tasks:
            for each in stored:
                if each.key is not None:
                    tasks.start_soon(ask, each, each.key)
        for error in errors:
            raise error
        return found

    async def _still_has_its_key(self, stored: StoredObject) -> bool:
        again = await self._objects.find(stored.tenant_id, stored.id)
        return again is not None and again.key == stored.key

    # -- blobs: I1, I2, I3 --------------------------------------------------------------------

    async def _audit_blobs(self) -> AsyncIterator[Finding]:
        after: BlobKey | None = None
        while page := await self._rows.scan(after=after, limit=_PAGE):
            after = page[-1].key
            repair = self._limits.repair
            drifts = await self._rows.recount([row.key for row in page], repair=repair)
            for drift in drifts:
                yield Finding(
                    invariant="I3",
                    subject=_name(drift.key),
                    detail=f"it counts {drift.recorded} references and has {drift.actual}",
                    repaired=repair,
                )
            counts = {row.key: row.ref_count for row in page}
            counts |= {drift.key: drift.actual for drift in drifts}
            suspects = {row.key for row in await self._bytes.suspects(page)}
            for row in page:
                count, finding = counts[row.key], None
                if row.stored_at is None:
                    finding = await self._audit_unconfirmed(row, count) if count else None
                elif row.key in suspects or self._limits.deep:
                    finding = await self._audit_bytes(row, count)
                if finding is not None:
                    yield finding

    async def _audit_bytes(self, row: Blob, count: int) -> Finding | None:
        """I2: a stored blob whose bytes are not there, or not its own."""
        wrong = await self._bytes.wrong(row, deep=self._limits.deep)
        if wrong is None:
            return None
        current = (await self._rows.find([row.key])).get(row.key)
        if current is None or current.stored_at != row.stored_at or current.locator != row.locator:
            return None  # collected, or placed anew, while we looked
        wrong = await self._bytes.wrong(row, deep=self._limits.deep)
        if wrong is None:
            return None
        held = await self._objects.holders(row.key, limit=AFFECTED_MAX)
        repaired = False
        if self._limits.repair:
            repaired = await self._bytes.restored(row)
            if not repaired:
                await self._rows.distrust(row.key)
                repaired = not held  # nobody misses them, and nobody counts on them any more
        return Finding(
            invariant="I2",
            subject=_name(row.key),
            detail=wrong,
            repaired=repaired,
            affected=_affected(held),
            affected_count=max(count, len(held)),
        )

    async def _audit_unconfirmed(self, row: Blob, count: int) -> Finding | None:
        """I1: COMMITTED objects whose blob is not stored; lost, as far as anybody knows.

        (An upload that has reserved, and not committed yet, holds such a row rightfully.)
        """
        held = await self._objects.holders(row.key, limit=AFFECTED_MAX)
        current = (await self._rows.find([row.key])).get(row.key)
        if current is None or current.stored_at is not None or not held:
            return None
        if not await self._is_still_there(held):
            return None
        wrong = await self._bytes.wrong(row, deep=self._limits.deep)
        repaired = False
        if self._limits.repair:
            await self._bytes.restored(row)
            place = await self._bytes.placed_anew(row)
            repaired = place is not None and await self._rows.confirm(current, place)
        return Finding(
            invariant="I1",
            subject=_name(row.key),
            detail="objects are COMMITTED and their blob is not stored: "
            + (wrong or "nobody has confirmed its bytes"),
            repaired=repaired,
            affected=_affected(held),
            affected_count=max(count, len(held)),
        )

    async def _is_still_there(self, held: Sequence[StoredObject]) -> bool:
        """Whether one of these is COMMITTED even now: then it was all along."""
        for each in held:
            if await self._objects.find(each.tenant_id, each.id) is not None:
                return True
        return False

    # -- stores: I4, I5, I6 -------------------------------------------------------------------

    async def _audit_placed(
        self, storage_class: StorageClass, store: BlobStore
    ) -> AsyncIterator[Finding]:
        walk = Walk()
        while page := await read_sample(store, walk.after):
            named = {
                BlobKey(placed.content_hash, storage_class): placed
                for placed in page
                if placed.content_hash is not None
            }
            rows = await self._rows.find(named)
            lost: dict[BlobKey, PlacedBlob] = {}
            for key in named.keys() - rows.keys():
                # The file first, then the row: a row goes only after its file, and comes before.
                if await store.stat(named[key].locator) is None or await self._rows.find([key]):
                    continue
                lost[key] = named[key]
            may_adopt = not walk.too_many(page, len(lost), self._limits.adopt_blobs_max)
            walk.go_behind(page, len(lost))
            for key, placed in lost.items():
                repaired = (
                    self._limits.repair
                    and may_adopt
                    and await self._rows.adopt(
                        key, size_bytes=placed.size_bytes, locator=placed.locator
                    )
                )
                yield Finding(
                    invariant="I4",
                    subject=placed.locator,
                    detail="it is placed and has no row" + ("" if may_adopt else _TOO_MANY),
                    repaired=repaired,
                )

    async def _audit_staged(self, store: BlobStore) -> AsyncIterator[Finding]:
        grace_s, after = self._limits.staging_grace_s, None
        while page := await store.staged(older_than_s=grace_s, limit=_PAGE, after=after):
            alive = await self._objects.live_uploads([entry.upload_id for entry in page])
            dead = [entry for entry in page if entry.upload_id not in alive]
            if dead:
                # An upload that has committed meanwhile was alive when it was listed.
                again = await store.staged(older_than_s=grace_s, limit=_PAGE, after=after)
                dead = [entry for entry in dead if entry in again]
            repaired = self._limits.repair and await self._discarded(store, dead)
            for entry in dead:
                yield Finding(
                    invariant="I5",
                    subject=entry.upload_id,
                    detail="it is staged and its upload is not alive",
                    repaired=repaired,
                )
            after = page[-1].entry

    @staticmethod
    async def _discarded(store: BlobStore, dead: Sequence[StagedEntry]) -> bool:
        try:
            await store.discard(dead)
        except JustStorageError:
            return False
        return True

    async def _audit_leases(self) -> AsyncIterator[Finding]:
        expired = await self._objects.expired(older_than_s=self._limits.lease_grace_s, limit=_PAGE)
        repaired: set[ObjectId] = set()
        if expired and self._limits.repair:
            while reaped := await self._objects.reap(limit=_PAGE):
                repaired.update(reaped)
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


def _affected(held: Sequence[StoredObject]) -> list[Affected]:
    return [
        Affected(
            id=str(each.id),
            tenant_id=str(each.tenant_id),
            namespace=str(each.namespace),
            key=None if each.key is None else str(each.key),
        )
        for each in held
    ]


def _of_object(invariant: str, stored: StoredObject, detail: str) -> Finding:
    return Finding(
        invariant=invariant,
        subject=stored.id,
        detail=detail,
        affected=_affected([stored]),
        affected_count=1,
    )
