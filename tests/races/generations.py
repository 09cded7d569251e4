"""An object store in miniature: generations instead of fixed names, and deletes that arrive late.

Like S3 it has no rename and no trash, and a DELETE whose answer was lost may be carried out at any
later time. A locator carries the id of the upload and a number, and is never used twice. It keeps
the whole contract of `BlobStore`; `test_object_store.py` proves it by the kit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count

from anyio.lowlevel import checkpoint

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError, Unavailable, UnsupportedOperation
from juststorage.plugins import BlobCapabilities, BlobStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.ports import BlobStore, PlacedBlob, StagedBlob, TrashedBlob

__all__ = ["GENERATIONS", "Bucket", "GenerationStore", "GenerationsPlugin"]


class Bucket:
    """What lives longer than a process: the placed bytes, and the deletes still under way.

    `loses_answers` makes each delete time out at the caller, to be carried out by `deliver`.
    """

    def __init__(self) -> None:
        self.placed: dict[Locator, bytes] = {}
        self.under_way: list[Locator] = []
        self.loses_answers = False
        self.numbers = count(1)

    def deliver(self) -> None:
        """Carry out the deletes that were asked for, now."""
        while self.under_way:
            self.placed.pop(self.under_way.pop(), None)


class GenerationStore(MemoryBlobStore):
    """The memory store, staging included, with other names and no way back."""

    def __init__(self, context: OpenContext, bucket: Bucket) -> None:
        super().__init__(context.clock)
        self._bucket = bucket
        self._placed = bucket.placed

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        # The memory store places under its own name, which nobody sees between these lines.
        name = await super().place(staged, content_hash)
        entry: str = staged.entry  # type: ignore[attr-defined]
        return self._generation(ObjectId(entry.partition(".")[0]), self._placed.pop(name))

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        await checkpoint()
        return self._generation(upload_id, bytes(data))

    def _generation(self, upload_id: ObjectId, data: bytes) -> Locator:
        locator = f"{upload_id}.{next(self._bucket.numbers):08}"
        self._placed[locator] = data
        return locator

    def locator_of(self, content_hash: ContentHash) -> Locator | None:
        return None

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        await checkpoint()
        self._bucket.under_way += locators
        if self._bucket.loses_answers:
            return {each: Unavailable("the object store did not answer") for each in locators}
        self._bucket.deliver()
        return {}

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        await checkpoint()
        locators = sorted(each for each in self._placed if after is None or each > after)
        return [
            PlacedBlob(each, len(self._placed[each]), upload_id=ObjectId(each.partition(".")[0]))
            for each in locators[:limit]
        ]

    async def restore(self, locator: Locator) -> bool:
        raise UnsupportedOperation("this blob store has no trash")

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        raise UnsupportedOperation("this blob store has no trash")

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        raise UnsupportedOperation("this blob store has no trash")


class GenerationsPlugin:
    """The plugin; processes that are handed the same one share its buckets.

    Args:
        buckets: One for each storage class, or none, to give every opening one of its own.
    """

    def __init__(self, buckets: Mapping[str, Bucket] | None = None) -> None:
        self._buckets = buckets
        self.backend = BlobStoreBackend(
            name="generations",
            summary="An object store in miniature",
            options=NoOptions,
            open=self._open,
            capabilities=BlobCapabilities(read_now=True, stable_readers=True),
        )

    @asynccontextmanager
    async def _open(self, options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
        assert context.storage_class is not None
        bucket = Bucket() if self._buckets is None else self._buckets[context.storage_class.value]
        yield GenerationStore(context, bucket)

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[NoOptions]]:
        """Offer it."""
        yield self.backend


GENERATIONS = GenerationsPlugin().backend
