"""Whole contents on their way out: never complete before they are known to be right.

The hash is made beside the sending, a block behind it, and the last piece waits for it. What is
wrong is an answer that breaks off, which no client takes for a whole one.

Cost: SHA-256 of every byte, in another thread than the one that sends, at one hop for each block;
nothing where `VerifiedContents` knows the content.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from juststorage.domain import BlobKey, ContentHash
from juststorage.errors import Corrupt
from juststorage.ports import BlobReader, Hasher, HashState
from juststorage.usecases._verified import VerifiedContents

__all__ = ["WrongHash", "verified_pieces"]

_BLOCK_BYTES_MAX: Final = 1024 * 1024
"""What one hop to a thread hashes: 0.6 ms of work for 0.05 ms of way."""

_SENT_FOR_A_BYTE: Final = 32
"""Blocks begin small and grow with what was sent, as they are held in memory until they are hashed:
200 clients that read slowly would hold 1 MiB each otherwise."""


class WrongHash(Corrupt):
    """The bytes are all there, and others than their name says."""


class _RunningHash:
    """The digest of what is added, in the order of adding, made in a thread.

    One block is in work while the next one is gathered; who adds faster than that waits.
    """

    def __init__(self, hasher: Hasher) -> None:
        self._algorithm = hasher.algorithm
        self._state = hasher.new()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._added_bytes = 0
        self._work: asyncio.Future[None] | None = None

    async def add(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        self._added_bytes += len(piece)
        if self._waiting_bytes >= min(_BLOCK_BYTES_MAX, self._added_bytes // _SENT_FOR_A_BYTE):
            await self._hash_waiting()

    async def content_hash(self) -> ContentHash:
        await self._hash_waiting()
        await self._done()
        return ContentHash.of(self._algorithm, self._state.digest())

    async def _hash_waiting(self) -> None:
        await self._done()
        block, self._waiting, self._waiting_bytes = self._waiting, [], 0
        # Holds nothing but bytes: where the download ends early, it ends by itself.
        loop = asyncio.get_running_loop()
        self._work = loop.run_in_executor(None, _update, self._state, block)

    async def _done(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            await work


def _update(state: HashState, block: Sequence[bytes]) -> None:
    for piece in block:
        state.update(piece)


@asynccontextmanager
async def _pieces(reader: BlobReader, length: int) -> AsyncIterator[AsyncIterator[bytes]]:
    """The first `length` bytes; who stops early leaves no generator to the collector."""
    pieces = reader.chunks(0, length)
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _hash_of_start(reader: BlobReader, hasher: Hasher, length: int) -> _RunningHash:
    running = _RunningHash(hasher)
    async with _pieces(reader, length) as pieces:
        async for piece in pieces:
            await running.add(piece)
    return running


async def verified_pieces(
    reader: BlobReader,
    key: BlobKey,
    hasher: Hasher | None,
    verified: VerifiedContents,
    *,
    on_damage: Callable[[Corrupt], Awaitable[None]] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The whole content in pieces. The last one comes only once the bytes are known to be right.

    A content that was verified before is hashed nevertheless, from its beginning, as soon as a
    piece of it comes from the medium or its file turns out to have been changed. Without a hasher,
    which is a content of a hash function that is not installed any more, it is passed on as it is.

    `on_damage` is told of what is raised as `Corrupt`. It is not left to another generator around
    this one: each costs some microseconds for every piece.

    Raises:
        WrongHash: Before the last piece: the bytes do not have the key's hash.
        Corrupt, Unavailable: From the reader.
    """
    size, identity, since = reader.size_bytes, reader.identity(), verified.now()
    read, last = 0, b""
    try:
        if hasher is None:
            async with _pieces(reader, size) as pieces:
                async for piece in pieces:
                    yield piece
            return
        running = None if verified.has(key, identity) else _RunningHash(hasher)
        async with _pieces(reader, size) as pieces:
            async for piece in pieces:
                if running is None and not reader.from_memory:
                    # Also for those who come after an end before the last piece.
                    verified.forget(key)
                    running = await _hash_of_start(reader, hasher, read)
                if running is not None:
                    await running.add(piece)
                read += len(piece)
                if read < size:
                    yield piece
                else:
                    last += piece
        if running is None and reader.identity() != identity:
            running = await _hash_of_start(reader, hasher, size)
        if running is not None:
            if await running.content_hash() != key.content_hash:
                verified.forget(key)
                raise WrongHash("the stored bytes do not have the recorded content hash")
            verified.add(key, identity, since)
        yield last
    except Corrupt as error:
        if on_damage is not None:
            await on_damage(error)
        raise
