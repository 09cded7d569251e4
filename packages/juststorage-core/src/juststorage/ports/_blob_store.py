"""BlobStore: where bytes live.

A blob store holds the bytes of one storage class. It stages bytes under an upload's id, places
what is staged under a locator, and gives it back. It knows neither objects nor references and
decides nothing: core computes the hash, the metadata store says what may be removed, and only the
collector calls `remove` and `purge`.

**Durability.** When `StagedBlob.finish` returns, the bytes survive a power cut; when `place` or
`put` returns, so does their name. An acknowledged upload rests on these two sentences. (A store
with generations may leave both to `place`, which nobody is answered before.)

**Cancellation.** Any method may be cancelled at any await. A cancelled `stage`, `write` or `finish`
leaves at most a staged entry that `staged` lists; a cancelled `place` or `put` leaves the blob
placed or not, never half of it at a final locator.

**Errors.** `StorageFull` for a lack of room, `Unavailable` for what may pass by itself, `Corrupt`
for bytes that contradict themselves; nothing of a driver or the operating system leaves a store.

**Concurrency.** All methods may be called at once, for the same content too, from several processes
on the same volume. Two uploads that place equal bytes both succeed.

**Two kinds.** *Fixed names* (a filesystem): the locator follows from the content hash,
so placing twice replaces equal bytes by equal bytes. *Generations* (an object store): every placing
makes a locator that was never used before, so that a delete that arrives late can only hit a
generation that nothing refers to. docs/adr/0009 maps both onto these methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError, UnsupportedOperation
from juststorage.ports._staged_blob import ResumableBlob, StagedBlob

__all__ = [
    "BlobReader",
    "BlobStore",
    "PlacedBlob",
    "Space",
    "StagedEntry",
    "TrashedBlob",
]


class Space(msgspec.Struct, frozen=True, gc=False):
    """Room on a volume, in bytes; `free_bytes` without what the store keeps in reserve."""

    total_bytes: int
    free_bytes: int


class PlacedBlob(msgspec.Struct, frozen=True, gc=False):
    """A blob at its final locator, as `scan` finds it.

    `content_hash` is None where the name does not tell it; `upload_id` is that of the upload that
    placed it, where the name tells that (stores with generations).
    """

    locator: Locator
    size_bytes: int
    content_hash: ContentHash | None = None
    upload_id: ObjectId | None = None


class TrashedBlob(msgspec.Struct, frozen=True, gc=False):
    """A blob in the trash: where it was, and the store's own name for where it is now."""

    locator: Locator
    content_hash: ContentHash | None
    entry: str


class StagedEntry(msgspec.Struct, frozen=True, gc=False):
    """Something staged, as `staged` finds it, whether an upload is alive for it or not."""

    upload_id: ObjectId
    entry: str


class BlobReader(ABC):
    """An open blob. What it reads stays the same even when the blob is removed meanwhile.

    A store without the capability `stable_readers` fails then with `Unavailable`; it never gives
    other bytes. An async context manager that closes itself.
    """

    size_bytes: int
    """Bytes of the whole blob, as the store has it."""

    local_path: str | None = None
    """A path that a server may send by itself (capability `local_path`), else None.

    The path may cease to exist; whoever opens it must treat that as a failure, not as empty.
    """

    from_memory: bool = False
    """Whether all that was read through it so far was in memory before (capability `identity`).

    False for good once a byte came from the medium: what comes from there newly may be damaged.
    """

    @abstractmethod
    def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        """Exactly `length` bytes from `start`, in pieces of the store's choosing.

        `0 <= start` and `start + length <= size_bytes`; the caller has checked.

        Raises:
            Corrupt: The blob ended early, or the medium cannot read it back. Raised, never a short
                iteration.
            Unavailable: The store failed midway.
        """

    def read_now(self, start: int, length: int) -> bytes | None:
        """The bytes if they can be had without waiting (capability `read_now`), else None.

        Never blocks for longer than a memory copy. A short result is never returned.
        """
        return None

    def identity(self) -> str | None:
        """A word for the stored bytes as they are now (capability `identity`), else None.

        It becomes another one when anybody changes the bytes in place, and after that is never the
        old one again. Readers of one blob that have the same word, and have it still after they
        have read, have read the same bytes, as long as memory kept them: see `from_memory`. None
        also while the store cannot tell. Never blocks for longer than `read_now`; does not raise.

        With it, core need not hash a large content each time that it is sent.
        """
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Release it. Idempotent; does not raise."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class BlobStore(ABC):
    """The bytes of one storage class. See the module for what holds for every method."""

    @abstractmethod
    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        """Start receiving bytes, under a name that carries `upload_id`.

        The upload's row exists already, so a sweeper can tell whether what it finds is alive.

        Raises:
            StorageFull: No room to start.
            Unavailable: The store cannot take bytes now.
        """

    async def begin_resumable(self, upload_id: ObjectId) -> None:
        """Make the place for an upload whose bytes come in several requests, durably.

        Capability `resumable`, as the next three. The upload's row exists already. Called once for
        an id; what is made is among `staged`, and `discard` takes it as all the rest.

        Raises:
            StorageFull: No room to start.
            Unavailable: The store cannot take bytes now.
        """
        raise UnsupportedOperation("this blob store cannot resume uploads")

    async def resume(self, upload_id: ObjectId) -> ResumableBlob:
        """Open what has been kept of an upload, to add to it; one at a time, over all processes.

        Raises:
            NotFound: There is nothing under this id.
            UploadInUse: It is open somewhere.
            Unavailable: The store failed.
        """
        raise UnsupportedOperation("this blob store cannot resume uploads")

    async def resumable_bytes(self, upload_id: ObjectId) -> int | None:
        """How many bytes of an upload are kept, open or not; None where there is nothing of it.

        Never more than would be there after a power cut in this moment.
        """
        raise UnsupportedOperation("this blob store cannot resume uploads")

    async def discard_resumable(self, upload_id: ObjectId) -> None:
        """Delete what is left of an upload, also after it was placed; nothing is fine.

        Whoever has it open can go on, to no effect: nothing of it can be placed.
        """
        raise UnsupportedOperation("this blob store cannot resume uploads")

    @abstractmethod
    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        """Give finished bytes their final name, durably, replacing whatever has that name.

        `staged` comes from this store, and is consumed: its `aclose` discards nothing afterwards.
        A `ResumableBlob` is not: its hash is remembered, before anything else, and its bytes stay
        until `discard_resumable`, whatever becomes of what was placed. Placing it again is fine.
        """

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        """Stage and place a small body in one call; the same promises as the two.

        Concrete, so that a store needs it only where one call is cheaper than four.
        """
        async with await self.stage(upload_id) as staged:
            if data:
                await staged.write(data)
            await staged.finish()
            return await self.place(staged, content_hash)

    def locator_of(self, content_hash: ContentHash) -> Locator | None:
        """Where these bytes are, if they are placed (capability `fixed_names`); else None.

        Lets the collector remove bytes that were placed by an upload that never committed.
        """
        return None

    @abstractmethod
    async def open(self, locator: Locator) -> BlobReader:
        """Open a placed blob for reading.

        Raises:
            NotFound: There is nothing at `locator`.
            Unavailable: The store cannot tell now.
        """

    @abstractmethod
    async def stat(self, locator: Locator) -> int | None:
        """The size in bytes of what is at `locator`, or None for nothing."""

    async def sizes(self, locators: Sequence[Locator]) -> dict[Locator, int | None]:
        """`stat` of many. Concrete, so that a store needs it only where one call is cheaper."""
        return {locator: await self.stat(locator) for locator in locators}

    async def make_durable(  # noqa: B027 - most stores have nothing to do
        self, locators: Sequence[Locator]
    ) -> None:
        """Let blobs that are placed survive a power cut, bytes and names, whoever placed them.

        For those who count on what they have found: who placed it may have died after its name was
        there and before that was durable, or be about to do it. What is absent is passed over. The
        next call after a failure starts anew.

        Concrete, and does nothing: a store in which nothing is found before it is durable, such as
        an object store, has nothing to do.

        Raises:
            StorageFull, Unavailable: They may not survive one.
        """

    @abstractmethod
    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        """Move blobs to the trash, or delete them where the store has none.

        What is absent already counts as removed. One failure never stops the rest.

        Returns:
            The failures, by locator; empty when all are gone.
        """

    async def restore(self, locator: Locator) -> bool:
        """Bring the newest trashed blob back to `locator` (capability `trash`).

        What is at `locator` already is left alone.

        Returns:
            Whether there is a blob at `locator` now.
        """
        raise UnsupportedOperation("this blob store has no trash")

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        """Up to `limit` blobs that have been in the trash for longer (capability `trash`).

        In the order of the store's choosing, which stays the same from call to call; with `after`,
        an entry that was listed before, only those behind it, whether it is still there or not.
        """
        raise UnsupportedOperation("this blob store has no trash")

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        """Delete from the trash for good (capability `trash`). Absent entries are fine.

        One failure never stops the rest; the first is raised once all have been tried.
        """
        raise UnsupportedOperation("this blob store has no trash")

    @abstractmethod
    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        """Up to `limit` staged entries that were last written to longer ago, of any process.

        Ascending by entry; with `after`, only those behind that entry.
        """

    @abstractmethod
    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        """Delete staged entries. Absent ones are fine.

        One failure never stops the rest; the first is raised once all have been tried.
        """

    @abstractmethod
    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        """Up to `limit` placed blobs behind `after`, in ascending order of locator.

        A blob that is there during the whole walk is seen exactly once; one that comes or goes
        meanwhile may be seen or not. An empty list ends the walk.
        """

    @abstractmethod
    async def space(self) -> Space | None:
        """Room on the volume; None where the store has no such notion.

        `free_bytes` is what uploads may use: whatever the store keeps in reserve counts as taken.
        Uploads whose announced size exceeds it are refused before their body is asked for.
        """

    @abstractmethod
    async def ping(self) -> None:
        """Prove that the store can read and write now.

        Raises:
            StorageFull: It can read, and has no room to write.
            Unavailable: It cannot; the detail says which part, without paths.
        """
