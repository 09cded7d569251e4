"""CreateBackup: the state first, then the blobs that it names.

In this order, next to a service in use (and never of one that is only half restored):

1. **Hold.** From now on no collector claims a blob that loses its last reference. The hold runs for
   minutes and is renewed all the time, so one that belongs to a dead process ends by itself.
2. **State.** One snapshot of the metadata store, written down in segments. Every blob that it names
   was referred to at that instant, which is after the hold began: it can be garbage since then, and
   is not collected.
3. **Blobs.** Those that the target does not have are copied, each verified by its hash. Those that
   it has are made durable: another backup may have just placed them, or died over it.
4. **Manifest.** Only if the hold never ran out. Then there is a backup.

Cost: the state is read once; of each blob that is there already the place is looked up, nothing is
read. Memory does not grow with the store: a segment, a page of blobs, and two blocks for each copy.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import anyio
import msgspec

from juststorage.domain import ContentHash, Locator, ObjectId, StorageClass
from juststorage.errors import (
    BlobMissing,
    Corrupt,
    InvalidState,
    JustStorageError,
    NotFound,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.ports import BlobReader, BlobStore, Clock, Hasher, MetadataStore, SavedBlob
from juststorage.usecases._backup._format import (
    MISSING_NAMED_MAX,
    Manifest,
    SegmentBuilder,
    SegmentRef,
    decode_segment,
)
from juststorage.usecases._backup._target import BackupTarget, Place, upload_id_of
from juststorage.usecases._backup._transfer import Transfer, Watcher, each_at_once
from juststorage.usecases._backup._unfinished import unfinished_restore

__all__ = ["BackupReport", "CreateBackup"]

_log: Final = logging.getLogger("juststorage.backup")

_PAGE: Final = 500
_HOLD_S: Final = 600.0
_BACK_S: Final = 3600.0
"""Longer than any transaction may last, with the clock of the store going back by some minutes."""


class BackupReport(msgspec.Struct, kw_only=True):
    """What a backup is, and what it took.

    Args:
        copied, bytes_copied: Contents that the target did not have.
        found: Contents that it had.
        missing: Blobs of the state that could not be read, `class/hash` and why; the first thousand
            contents. The backup is as good as what it was taken from, and no better.
        missing_count: All contents that could not be read.
    """

    id: str
    taken_at: datetime
    records: dict[str, int]
    copied: int = 0
    bytes_copied: int = 0
    found: int = 0
    missing: list[str]
    missing_count: int = 0


class CreateBackup:
    """Takes one backup. Any number may run at once, to one target too.

    Args:
        jobs: Blobs that are copied at once.
        made_by: The release, for the manifest.
        hold_s: Seconds after which the hold of a dead process ends.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        target: BackupTarget,
        *,
        clock: Clock,
        watcher: Watcher,
        jobs: int,
        made_by: str,
        hold_s: float = _HOLD_S,
    ) -> None:
        self._backups = metadata.backups
        self._rows = metadata.blobs
        self._stores = blobs
        self._target = target
        self._clock = clock
        self._watcher = watcher
        self._jobs = jobs
        self._made_by = made_by
        self._hold_s = hold_s
        self._transfer = Transfer(hashers, clock, watcher.moved)

    async def run(self) -> BackupReport:
        """Take it.

        Raises:
            Unavailable: A store does not answer; or the hold ran out, because this process stood
                still: what was still to be copied may have been collected. Run it again; it goes on
                where it was.
            StorageFull: The target is full.
            InvalidState: A restore has begun here and not ended: there is no state to back up.

        Cancellation: lets go of the hold; what was copied stays, and the next run finds it.
        """
        await self._refuse_half_restored()
        await self._target.learn()
        await self._target.tidy()
        backup_id = str(ObjectId.new())
        async with self._held(f"backup {backup_id}") as name:
            taken_at, segments = await self._keep_state()
            # Again: one may have begun since, and what was read be half of what it puts back.
            await self._refuse_half_restored()
            records: Counter[str] = Counter()
            for ref in segments:
                records.update(ref.records)
            report = BackupReport(
                id=backup_id, taken_at=taken_at, records=dict(records), missing=[]
            )
            blobs, blob_bytes = await self._sum(segments)
            self._watcher.expects(sum(blob_bytes.values()))
            for ref in segments:
                for page in await self._blobs_of(ref):
                    await self._copy_page(page, report)
            if not await self._backups.renew(name, hold_s=self._hold_s):
                raise _lost_hold()
            await self._target.put_manifest(
                Manifest(
                    id=backup_id,
                    taken_at=taken_at,
                    made_by=self._made_by,
                    records=report.records,
                    blobs=dict(blobs),
                    blob_bytes=dict(blob_bytes),
                    segments=segments,
                    missing=report.missing,
                )
            )
        return report

    async def _refuse_half_restored(self) -> None:
        begun = await unfinished_restore(self._backups)
        if begun is not None:
            raise InvalidState(str(begun))

    # -- the hold -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[str]:
        """Hold for as long as the block lasts; one that is lost ends the block with the reason."""
        await self._backups.hold(name, hold_s=self._hold_s, back_s=_BACK_S)
        lost = False
        failure: BaseException | None = None

        async def renew() -> None:
            nonlocal lost
            while True:
                await self._clock.sleep(self._hold_s / 4)
                try:
                    lost = not await self._backups.renew(name, hold_s=self._hold_s)
                except Unavailable:
                    _log.warning("hold_not_renewed", exc_info=True)  # there are further times
                if lost:
                    tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(renew)
                # The task group would wrap what the block raises, hence the detour.
                try:
                    yield name
                except BaseException as error:  # noqa: BLE001  raised again below
                    failure = error
                tasks.cancel_scope.cancel()
            if lost:
                raise _lost_hold()
            if failure is not None:
                raise failure
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self._backups.release(name)
                except JustStorageError:
                    _log.warning("hold_not_released", exc_info=True)  # it ends by itself

    # -- the state ----------------------------------------------------------------------------

    async def _keep_state(self) -> tuple[datetime, list[SegmentRef]]:
        segments: list[SegmentRef] = []
        async with await self._backups.snapshot() as snapshot:
            builder = SegmentBuilder()
            while page := await snapshot.read(_PAGE):
                await anyio.to_thread.run_sync(builder.add, page)
                if builder.is_full:
                    segments.append(await self._keep(builder))
                    builder = SegmentBuilder()
            if builder.records:
                segments.append(await self._keep(builder))
            return snapshot.taken_at, segments

    async def _keep(self, builder: SegmentBuilder) -> SegmentRef:
        return await self._target.put_segment(builder.finish(), dict(builder.records))

    async def _blobs_of(self, ref: SegmentRef) -> list[list[SavedBlob]]:
        """The blobs of a segment, in pages. Read back, so that what was kept is what is used."""
        if not ref.records.get("blobs"):
            return []
        records = decode_segment(await self._target.segment(ref))
        blobs = [record for record in records if isinstance(record, SavedBlob)]
        return [blobs[at : at + _PAGE] for at in range(0, len(blobs), _PAGE)]

    async def _sum(self, segments: list[SegmentRef]) -> tuple[Counter[str], Counter[str]]:
        """How many blobs there are, and how many bytes they have, by storage class."""
        blobs, blob_bytes = Counter[str](), Counter[str]()
        for ref in segments:
            for page in await self._blobs_of(ref):
                for blob in page:
                    blobs[blob.key.storage_class.value] += 1
                    blob_bytes[blob.key.storage_class.value] += blob.size_bytes
        return blobs, blob_bytes

    # -- the blobs ----------------------------------------------------------------------------

    async def _copy_page(self, page: list[SavedBlob], report: BackupReport) -> None:
        by_hash: dict[ContentHash, list[SavedBlob]] = {}
        for blob in page:
            by_hash.setdefault(blob.key.content_hash, []).append(blob)
        places = await self._target.places.find(list(by_hash))
        wanted: list[list[SavedBlob]] = []
        found: list[Locator] = []
        for content_hash, blobs in by_hash.items():
            place = places.get(content_hash)
            if place is not None and place.size_bytes == blobs[0].size_bytes:
                found.append(place.locator)
                self._watcher.moved(sum(blob.size_bytes for blob in blobs))
            else:
                wanted.append(blobs)
        await self._target.contents.make_durable(found)
        report.found += len(found)
        await each_at_once(
            wanted,
            lambda blobs: self._copy(blobs, report),
            size=lambda blobs: blobs[0].size_bytes,
            jobs=self._jobs,
        )

    async def _copy(self, blobs: list[SavedBlob], report: BackupReport) -> None:
        """Copy a content from the first of its classes that has it whole."""
        problems: list[str] = []
        for blob in blobs:
            try:
                await self._copy_from(blob)
            except (BlobMissing, Corrupt) as error:
                name = f"{blob.key.storage_class}/{blob.key.content_hash}"
                problems.append(f"{name}: {error.detail}")
                continue
            report.copied += 1
            report.bytes_copied += blob.size_bytes
            self._watcher.moved(sum(other.size_bytes for other in blobs if other is not blob))
            return
        report.missing_count += 1
        if report.missing_count <= MISSING_NAMED_MAX:
            report.missing += problems

    async def _copy_from(self, blob: SavedBlob) -> None:
        content_hash = blob.key.content_hash
        async with await self._open(blob) as reader:
            if reader.size_bytes != blob.size_bytes:
                raise Corrupt(f"it has {reader.size_bytes} bytes instead of {blob.size_bytes}")
            locator = await self._transfer.copy(
                reader, content_hash, self._target.contents, upload_id_of(content_hash)
            )
        await self._target.places.add(content_hash, Place(locator, blob.size_bytes))

    async def _open(self, blob: SavedBlob) -> BlobReader:
        """A reader of a blob where it is now: it may have been placed anew since the snapshot."""
        store = self._stores.get(blob.key.storage_class)
        if store is None:
            raise Unavailable(f"the storage class {blob.key.storage_class} is not configured")
        for _ in range(2):
            row = (await self._rows.find([blob.key])).get(blob.key)
            if row is None or row.locator is None:
                break
            try:
                return await store.open(row.locator)
            except NotFound:
                # As for a reader of the object: a collector that woke up late has trashed it (R19).
                if await _restored(store, row.locator):
                    return await store.open(row.locator)
        raise BlobMissing("its bytes are missing")


async def _restored(store: BlobStore, locator: str) -> bool:
    try:
        return await store.restore(locator)
    except UnsupportedOperation:
        return False


def _lost_hold() -> Unavailable:
    return Unavailable(
        "the hold on the blobs ran out, so that collectors may have removed what was not copied"
        " yet; run the backup again, it goes on where it was"
    )
