"""RestoreBackup: a state, with every byte that it names, into a deployment that has none.

Reserve before place, as an upload does it:

1. The rows of a page of blobs, with their counts: no collector takes what has references.
2. Their bytes. Those that are placed already and have their hash stay (the volume survived, the
   database did not), and are made durable: an earlier run may have died over that. Others come from
   the backup; those that it lost, from the trash.
3. The same rows once more, with their places: stored.
4. When all blobs are stored, the objects: nobody sees one without its bytes.

Each step does nothing where it is done already, so an interrupted restore is run again. Blobs that
the state does not know stay where they are; a collector adopts them after the restore.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec
from msgspec.structs import replace

from juststorage.domain import Blob, Locator, ObjectId, StorageClass
from juststorage.errors import (
    BlobMissing,
    Corrupt,
    InvalidState,
    Misconfigured,
    NotFound,
    UnsupportedOperation,
)
from juststorage.ports import BlobStore, Clock, Hasher, MetadataStore, Record, SavedBlob
from juststorage.usecases._backup._format import MISSING_NAMED_MAX, Manifest, decode_segment
from juststorage.usecases._backup._manifests import Manifests
from juststorage.usecases._backup._target import BackupTarget
from juststorage.usecases._backup._transfer import Transfer, Watcher, each_at_once
from juststorage.usecases._backup._unfinished import (
    restore_hold,
    unfinished_restore,
)

__all__ = ["RestoreBackup", "RestoreReport"]

_PAGE: Final = 500


class RestoreReport(msgspec.Struct, kw_only=True):
    """What was put back.

    Args:
        continued: An earlier run had begun.
        copied, bytes_copied: Blobs that came from the backup.
        found: Blobs that were placed already, or in the trash, and whole.
        missing: Blobs that are nowhere: their objects are there, and cannot be read. `class/hash`
            and why; the first thousand.
        missing_count: All blobs that are nowhere.
        ended: Whether the restore is over. It is not while blobs are missing, unless that was
            accepted.
    """

    id: str
    continued: bool
    records: dict[str, int]
    copied: int = 0
    bytes_copied: int = 0
    found: int = 0
    missing: list[str]
    missing_count: int = 0
    ended: bool = False


class RestoreBackup:
    """Puts one backup back.

    Args:
        jobs: Blobs that are copied at once.
        accept_missing: End the restore although blobs are missing.
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
        accept_missing: bool = False,
    ) -> None:
        self._backups = metadata.backups
        self._rows = metadata.blobs
        self._stores = blobs
        self._target = target
        self._watcher = watcher
        self._jobs = jobs
        self._accept_missing = accept_missing
        self._transfer = Transfer(hashers, clock, watcher.moved)

    async def choose(self, there: Manifests, backup_id: str | None) -> Manifest:
        """Which backup to put back: without an id, the one that has begun here, else the newest.

        Raises:
            NotFound: There is no such backup; or not the one that has begun here.
            Invalid, BackupUnreadable: As from `Manifests.choose`.
        """
        if backup_id is not None or (begun := await unfinished_restore(self._backups)) is None:
            return there.choose(backup_id)
        try:
            return there.choose(begun.backup_id)
        except NotFound as error:
            raise NotFound(
                f"a restore of the backup {begun.backup_id} has begun and not ended, and"
                f" {error.detail}; name the place where it is, or begin anew with an empty database"
            ) from error

    async def run(self, manifest: Manifest) -> RestoreReport:
        """Put it back.

        Raises:
            InvalidState: There are objects here, or a restore of another backup has begun.
            Misconfigured: The state has blobs of a class that is not configured here.
            Corrupt: A segment of the backup is damaged: then the state is not complete, and nothing
                was changed.
            Unavailable, StorageFull: From the stores. Run it again.

        Cancellation: between any two steps; run it again.
        """
        await self._refuse_another(manifest)
        for storage_class in manifest.blobs:
            if StorageClass(storage_class) not in self._stores:
                raise Misconfigured(
                    f"the backup has {storage_class} blobs, and blobs.{storage_class} is not"
                    " configured"
                )
        for ref in manifest.segments:
            await self._target.segment(ref)
        continued = await self._backups.begin_restore(restore_hold(manifest.id))
        report = RestoreReport(
            id=manifest.id, continued=continued, records=manifest.records, missing=[]
        )
        self._watcher.expects(sum(manifest.blob_bytes.values()))
        async for page in self._pages(manifest):
            await self._put_blobs(
                [record for record in page if isinstance(record, SavedBlob)], report
            )
        async for page in self._pages(manifest):
            if others := [record for record in page if not isinstance(record, SavedBlob)]:
                await self._backups.restore(others)
        if not report.missing_count or self._accept_missing:
            await self._backups.end_restore(restore_hold(manifest.id))
            report.ended = True
        return report

    async def _refuse_another(self, manifest: Manifest) -> None:
        begun = await unfinished_restore(self._backups)
        if begun is not None and begun.backup_id != manifest.id:
            raise InvalidState(
                f"{begun}; to restore the backup {manifest.id} instead, begin anew"
                " with an empty database"
            )

    async def _pages(self, manifest: Manifest) -> AsyncIterator[Sequence[Record]]:
        for ref in manifest.segments:
            records = decode_segment(await self._target.segment(ref))
            while page := list(islice(records, _PAGE)):
                yield page

    async def _put_blobs(self, blobs: Sequence[SavedBlob], report: RestoreReport) -> None:
        before = await self._rows.find([blob.key for blob in blobs])
        wanted = [blob for blob in blobs if not await self._is_done(before.get(blob.key))]
        self._watcher.moved(sum(b.size_bytes for b in blobs) - sum(b.size_bytes for b in wanted))
        if not wanted:
            return
        await self._backups.restore(wanted)
        placed: list[Record] = []
        found: dict[StorageClass, list[Locator]] = {}

        async def place(blob: SavedBlob) -> None:
            try:
                locator, was_there = await self._placed(blob, before.get(blob.key), report)
            except (BlobMissing, Corrupt) as error:
                report.missing_count += 1
                if report.missing_count <= MISSING_NAMED_MAX:
                    name = f"{blob.key.storage_class}/{blob.key.content_hash}"
                    report.missing.append(f"{name}: {error.detail}")
            else:
                placed.append(replace(blob, locator=locator))
                if was_there:
                    found.setdefault(blob.key.storage_class, []).append(locator)

        await each_at_once(wanted, place, size=lambda blob: blob.size_bytes, jobs=self._jobs)
        for storage_class, locators in found.items():
            await self._stores[storage_class].make_durable(locators)
            report.found += len(locators)
        # In the order of their keys, as everybody locks them.
        placed_keys = {each.key: each for each in placed if isinstance(each, SavedBlob)}
        await self._backups.restore([placed_keys[key] for key in sorted(placed_keys)])

    async def _is_done(self, row: Blob | None) -> bool:
        """Whether an earlier run has brought this one."""
        if row is None or row.ref_count == 0 or row.stored_at is None or row.locator is None:
            return False
        return await self._stores[row.key.storage_class].stat(row.locator) == row.size_bytes

    async def _placed(
        self, blob: SavedBlob, before: Blob | None, report: RestoreReport
    ) -> tuple[Locator, bool]:
        """Where the bytes are, once they are; and whether they were found, durable or not."""
        store = self._stores[blob.key.storage_class]
        there = store.locator_of(blob.key.content_hash)
        if there is None and before is not None:
            there = before.locator
        if there is not None and await self._is_whole(store, there, blob):
            return there, True
        try:
            async with await self._target.open(blob.key.content_hash, blob.size_bytes) as reader:
                locator = await self._transfer.copy(
                    reader, blob.key.content_hash, store, ObjectId.new()
                )
        except (NotFound, Corrupt) as error:
            if there is None or not await self._is_whole(store, there, blob, restored=True):
                raise BlobMissing(f"in the backup: {error.detail}") from error
            return there, True
        report.copied += 1
        report.bytes_copied += blob.size_bytes
        return locator, False

    async def _is_whole(
        self, store: BlobStore, locator: Locator, blob: SavedBlob, *, restored: bool = False
    ) -> bool:
        """Whether the bytes of a blob are at the place; where asked for, after a look in the trash.

        Read whole: nobody has confirmed them to this database.
        """
        if restored:
            try:
                await store.restore(locator)
            except UnsupportedOperation:
                return False
        try:
            async with await store.open(locator) as reader:
                if reader.size_bytes != blob.size_bytes:
                    return False
                return await self._transfer.check(reader, blob.key.content_hash)
        except (NotFound, Corrupt):
            return False
