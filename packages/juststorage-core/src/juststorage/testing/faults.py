"""Blob stores that fail on purpose, around ones that do not.

What goes wrong is the wrapper's business, never an option of a real backend: a production store
that can be told to fail can also be told so by mistake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError, Unavailable
from juststorage.ports import (
    BlobReader,
    BlobStore,
    PlacedBlob,
    ResumableBlob,
    Space,
    StagedBlob,
    StagedEntry,
    TrashedBlob,
)

__all__ = ["CorruptingBlobStore", "FailingBlobStore", "PausingBlobStore", "WrappedBlobStore"]


class WrappedBlobStore(BlobStore):
    """Passes everything on; the base of the others.

    Args:
        inner: The store that does the work.
    """

    def __init__(self, inner: BlobStore) -> None:
        self.inner = inner

    async def on(self, method: str) -> None:
        """Called before each method passes on, with its name."""

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        """See `BlobStore`."""
        await self.on("stage")
        return await self.inner.stage(upload_id)

    async def begin_resumable(self, upload_id: ObjectId) -> None:
        """See `BlobStore`."""
        await self.on("begin_resumable")
        await self.inner.begin_resumable(upload_id)

    async def resume(self, upload_id: ObjectId) -> ResumableBlob:
        """See `BlobStore`."""
        await self.on("resume")
        return await self.inner.resume(upload_id)

    async def resumable_bytes(self, upload_id: ObjectId) -> int | None:
        """See `BlobStore`."""
        await self.on("resumable_bytes")
        return await self.inner.resumable_bytes(upload_id)

    async def discard_resumable(self, upload_id: ObjectId) -> None:
        """See `BlobStore`."""
        await self.on("discard_resumable")
        await self.inner.discard_resumable(upload_id)

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        """See `BlobStore`."""
        await self.on("place")
        return await self.inner.place(staged, content_hash)

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        """See `BlobStore`."""
        await self.on("put")
        return await self.inner.put(upload_id, content_hash, data)

    def locator_of(self, content_hash: ContentHash) -> Locator | None:
        """See `BlobStore`."""
        return self.inner.locator_of(content_hash)

    async def open(self, locator: Locator) -> BlobReader:
        """See `BlobStore`."""
        await self.on("open")
        return await self.inner.open(locator)

    async def stat(self, locator: Locator) -> int | None:
        """See `BlobStore`."""
        await self.on("stat")
        return await self.inner.stat(locator)

    async def sizes(self, locators: Sequence[Locator]) -> dict[Locator, int | None]:
        """See `BlobStore`."""
        await self.on("sizes")
        return await self.inner.sizes(locators)

    async def make_durable(self, locators: Sequence[Locator]) -> None:
        """See `BlobStore`."""
        await self.on("make_durable")
        await self.inner.make_durable(locators)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        """See `BlobStore`."""
        await self.on("remove")
        return await self.inner.remove(locators)

    async def restore(self, locator: Locator) -> bool:
        """See `BlobStore`."""
        await self.on("restore")
        return await self.inner.restore(locator)

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        """See `BlobStore`."""
        await self.on("trash")
        return await self.inner.trash(older_than_s=older_than_s, limit=limit, after=after)

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        """See `BlobStore`."""
        await self.on("purge")
        await self.inner.purge(trashed)

    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        """See `BlobStore`."""
        await self.on("staged")
        return await self.inner.staged(older_than_s=older_than_s, limit=limit, after=after)

    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        """See `BlobStore`."""
        await self.on("discard")
        await self.inner.discard(entries)

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        """See `BlobStore`."""
        await self.on("scan")
        return await self.inner.scan(after=after, limit=limit)

    async def space(self) -> Space | None:
        """See `BlobStore`."""
        await self.on("space")
        return await self.inner.space()

    async def ping(self) -> None:
        """See `BlobStore`."""
        await self.on("ping")
        await self.inner.ping()


class _FailingStagedBlob(StagedBlob):
    def __init__(self, inner: StagedBlob, room_bytes: int, error: JustStorageError) -> None:
        self.inner = inner
        self._room_bytes = room_bytes
        self._error = error
        self.size_bytes = 0

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        room = self._room_bytes - self.size_bytes
        await self.inner.write(memoryview(data)[:room])
        self.size_bytes = self.inner.size_bytes
        if len(data) > room:
            raise self._error

    async def finish(self) -> None:
        await self.inner.finish()

    async def aclose(self) -> None:
        await self.inner.aclose()


class FailingBlobStore(WrappedBlobStore):
    """Fails an upload after so many bytes, and the methods that are named.

    Args:
        inner: The store that does the work.
        after_bytes: Bytes that each upload may write; None for no limit. `put` counts too.
        methods: Names of methods that fail whenever they are called. May be changed at any time.
        error: Makes what is raised; `Unavailable` when not given.
    """

    def __init__(
        self,
        inner: BlobStore,
        *,
        after_bytes: int | None = None,
        methods: set[str] | frozenset[str] = frozenset(),
        error: Callable[[], JustStorageError] = lambda: Unavailable("told to fail"),
    ) -> None:
        super().__init__(inner)
        self.after_bytes = after_bytes
        self.methods = set(methods)
        self._error = error

    async def on(self, method: str) -> None:
        """Raise where the test wants it."""
        if method in self.methods:
            raise self._error()

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        """Stage with the limit."""
        staged = await super().stage(upload_id)
        if self.after_bytes is None:
            return staged
        return _FailingStagedBlob(staged, self.after_bytes, self._error())

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        """Place what `stage` gave."""
        if isinstance(staged, _FailingStagedBlob):
            staged = staged.inner
        return await super().place(staged, content_hash)

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        """Put with the limit."""
        if self.after_bytes is not None and len(data) > self.after_bytes:
            raise self._error()
        return await super().put(upload_id, content_hash, data)


class PausingBlobStore(WrappedBlobStore):
    """Waits before a method until the test lets it go on: a slow store, without a clock.

    `reached(method)` is set when a call waits, `release(method)` lets all calls of it pass.

    Args:
        inner: The store that does the work.
        methods: Names of the methods that wait.
    """

    def __init__(self, inner: BlobStore, methods: set[str] | frozenset[str]) -> None:
        super().__init__(inner)
        self._reached = {method: anyio.Event() for method in methods}
        self._released = {method: anyio.Event() for method in methods}

    async def on(self, method: str) -> None:
        """Wait where the test wants it."""
        if method in self._reached:
            self._reached[method].set()
            await self._released[method].wait()

    async def reached(self, method: str) -> None:
        """Wait until a call of the method waits."""
        await self._reached[method].wait()

    def release(self, method: str) -> None:
        """Let the calls of the method pass, now and later."""
        self._released[method].set()


class _CorruptReader(BlobReader):
    def __init__(self, inner: BlobReader, damage: Callable[[int, bytes], bytes]) -> None:
        self._inner = inner
        self._damage = damage
        self.size_bytes = inner.size_bytes

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        async for chunk in self._inner.chunks(start, length):
            yield self._damage(start, chunk)
            start += len(chunk)

    def read_now(self, start: int, length: int) -> bytes | None:
        data = self._inner.read_now(start, length)
        return None if data is None else self._damage(start, data)

    async def aclose(self) -> None:
        await self._inner.aclose()


class CorruptingBlobStore(WrappedBlobStore):
    """Reads one wrong bit, as a disk that lies would; what is stored stays right.

    Args:
        inner: The store that does the work.
        at: Position of the byte whose lowest bit is flipped.
    """

    def __init__(self, inner: BlobStore, *, at: int = 0) -> None:
        super().__init__(inner)
        self._at = at

    async def open(self, locator: Locator) -> BlobReader:
        """Open with the damage; there is no `local_path`, which would go around it."""
        return _CorruptReader(await super().open(locator), self._flip)

    def _flip(self, start: int, data: bytes) -> bytes:
        at = self._at - start
        if not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
