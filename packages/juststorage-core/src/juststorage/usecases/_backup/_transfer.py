"""From one blob store to another: read, hashed and written at once, in bounded memory.

A blob gets its name in the other store only if its bytes have the hash that it is named by, so
damage is found here, and never copied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import anyio
import anyio.to_thread

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Corrupt, DigestMismatch, Unavailable
from juststorage.ports import BlobReader, BlobStore, Clock, Hasher
from juststorage.usecases._receive import Digests, UploadLimits, receive

__all__ = ["Transfer", "Watcher", "each_at_once"]

ItemT = TypeVar("ItemT")

_PUT_BYTES_MAX: Final = 128 * 1024
"""Up to this, one call writes what four would; hashing it takes less than a way to a thread."""

_SMALL_PER_JOB: Final = 8

_FOREVER_S: Final = float("inf")


class Watcher(Protocol):
    """Told how far it is. For progress bars; nothing depends on it."""

    def expects(self, size_bytes: int) -> None:
        """So many bytes are ahead."""

    def moved(self, size_bytes: int) -> None:
        """So many of them are done, copied or found to be there."""


class Transfer:
    """Copies and reads blobs by their hash.

    Args:
        moved: Told of each piece that was read.
    """

    def __init__(
        self, hashers: Mapping[str, Hasher], clock: Clock, moved: Callable[[int], None]
    ) -> None:
        self._hashers = hashers
        self._clock = clock
        self._moved = moved

    async def copy(
        self, reader: BlobReader, content_hash: ContentHash, store: BlobStore, upload_id: ObjectId
    ) -> Locator:
        """Place what the reader reads in the store.

        Raises:
            Corrupt: Its bytes do not have this hash; nothing was placed.
            Unavailable: No hasher for it is installed; or a store failed.
            StorageFull: No room.
        """
        hasher, size = self._hasher(content_hash), reader.size_bytes
        if size <= _PUT_BYTES_MAX:
            data = b"".join([piece async for piece in self._pieces(reader)])
            if hasher.hash(data) != content_hash:
                raise _other_bytes()
            return await store.put(upload_id, content_hash, data)
        digests = Digests({content_hash.algorithm: hasher.new()}, [content_hash])
        async with await store.stage(upload_id) as staged:
            await receive(
                self._pieces(reader),
                staged,
                digests,
                limits=UploadLimits(
                    bytes_max=size,
                    lease_s=_FOREVER_S,
                    idle_s=_FOREVER_S,
                    rate_min_bytes_s=0,
                ),
                clock=self._clock,
                renew=_nothing,
            )
            try:
                digests.finish(content_hash.algorithm)
            except DigestMismatch:
                raise _other_bytes() from None
            await staged.finish()
            return await store.place(staged, content_hash)

    async def check(self, reader: BlobReader, content_hash: ContentHash) -> bool:
        """Whether what the reader reads has this hash."""
        state = self._hasher(content_hash).new()
        async for piece in self._pieces(reader):
            if len(piece) <= _PUT_BYTES_MAX:
                state.update(piece)
            else:
                await anyio.to_thread.run_sync(state.update, piece)
        return ContentHash.of(content_hash.algorithm, state.digest()) == content_hash

    async def _pieces(self, reader: BlobReader) -> AsyncIterator[bytes]:
        async for piece in reader.chunks(0, reader.size_bytes):
            self._moved(len(piece))
            yield piece

    def _hasher(self, content_hash: ContentHash) -> Hasher:
        hasher = self._hashers.get(content_hash.algorithm)
        if hasher is None:
            raise Unavailable(f"no hasher for {content_hash.algorithm} is installed here")
        return hasher


async def each_at_once(
    items: Sequence[ItemT],
    work: Callable[[ItemT], Awaitable[None]],
    *,
    size: Callable[[ItemT], int],
    jobs: int,
) -> None:
    """Do `work` for each item, `jobs` at a time; the first failure ends the others.

    Of small ones there are more at a time: they wait for a disk and not for a processor, and a
    store that syncs many together wants many.
    """
    small = [item for item in items if size(item) <= _PUT_BYTES_MAX]
    large = [item for item in items if size(item) > _PUT_BYTES_MAX]
    await _at_once(small, work, jobs * _SMALL_PER_JOB)
    await _at_once(large, work, jobs)


async def _at_once(
    items: Sequence[ItemT], work: Callable[[ItemT], Awaitable[None]], jobs: int
) -> None:
    failures: list[BaseException] = []
    places = anyio.Semaphore(jobs)

    async def one(item: ItemT) -> None:
        try:
            await work(item)
        except Exception as error:  # noqa: BLE001  raised again below, as it is
            failures.append(error)
            tasks.cancel_scope.cancel()
        finally:
            places.release()

    async with anyio.create_task_group() as tasks:
        for item in items:
            await places.acquire()
            tasks.start_soon(one, item)
    if failures:
        raise failures[0]


def _other_bytes() -> Corrupt:
    return Corrupt("its bytes do not have its hash")


async def _nothing() -> None:
    """There is no lease to renew."""
