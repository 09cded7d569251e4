"""VerifyBackup: whether a backup has everything that its state names, to the last bit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec

from juststorage.domain import ContentHash
from juststorage.errors import Corrupt, NotFound
from juststorage.ports import Clock, Hasher, SavedBlob
from juststorage.usecases._backup._format import Manifest, decode_segment
from juststorage.usecases._backup._target import BackupTarget
from juststorage.usecases._backup._transfer import Transfer, Watcher, each_at_once

__all__ = ["Damage", "VerifyBackup"]

_PAGE: Final = 500


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """Something that cannot be restored.

    Args:
        subject: A segment or a blob, by its hash.
        discarded: Whether it was removed, so that the next backup copies it anew.
    """

    subject: str
    detail: str
    discarded: bool = False


class VerifyBackup:
    """Reads a backup; changes nothing, unless it is to discard what is damaged.

    Args:
        quick: Look only at the sizes of blobs; segments are read all the same.
        discard: Remove damaged contents.
        jobs: Blobs that are read at once.
    """

    def __init__(
        self,
        hashers: Mapping[str, Hasher],
        target: BackupTarget,
        *,
        clock: Clock,
        watcher: Watcher,
        jobs: int,
        quick: bool = False,
        discard: bool = False,
    ) -> None:
        self._target = target
        self._watcher = watcher
        self._jobs = jobs
        self._quick = quick
        self._discard = discard
        self._transfer = Transfer(hashers, clock, watcher.moved)

    async def run(self, manifest: Manifest) -> AsyncIterator[Damage]:
        """What is wrong, as it is found.

        Raises:
            Unavailable: The target does not answer, or a hasher is not installed here.
        """
        self._watcher.expects(sum(manifest.blob_bytes.values()))
        for name in manifest.missing:
            yield Damage(subject=name, detail="it could not be read when the backup was taken")
        for ref in manifest.segments:
            try:
                records = list(decode_segment(await self._target.segment(ref)))
            except Corrupt as error:
                discarded = await self._discarded(ContentHash(ref.content_hash))
                yield Damage(subject=ref.content_hash, detail=error.detail, discarded=discarded)
                continue
            blobs = [record for record in records if isinstance(record, SavedBlob)]
            for at in range(0, len(blobs), _PAGE):
                for damage in await self._page(blobs[at : at + _PAGE]):
                    yield damage

    async def _page(self, blobs: list[SavedBlob]) -> list[Damage]:
        # The same bytes in two classes are there once.
        sizes = {blob.key.content_hash: blob.size_bytes for blob in blobs}
        self._watcher.moved(sum(blob.size_bytes for blob in blobs) - sum(sizes.values()))
        damages: list[Damage] = []

        async def check(item: tuple[ContentHash, int]) -> None:
            content_hash, size = item
            wrong = await self._wrong(content_hash, size)
            if wrong is not None:
                discarded = await self._discarded(content_hash)
                damages.append(Damage(subject=str(content_hash), detail=wrong, discarded=discarded))

        await each_at_once(list(sizes.items()), check, size=lambda item: item[1], jobs=self._jobs)
        return damages

    async def _wrong(self, content_hash: ContentHash, size: int) -> str | None:
        try:
            async with await self._target.open(content_hash, size) as reader:
                if self._quick:
                    self._watcher.moved(size)
                elif not await self._transfer.check(reader, content_hash):
                    return "its bytes do not have its hash"
        except (NotFound, Corrupt) as error:
            return error.detail
        return None

    async def _discarded(self, content_hash: ContentHash) -> bool:
        if self._discard:
            await self._target.discard(content_hash)
        return self._discard
