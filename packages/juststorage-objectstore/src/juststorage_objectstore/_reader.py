"""An open blob: its first bytes, and the way to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from juststorage.domain import Locator
from juststorage.errors import Corrupt, NotFound, Unavailable
from juststorage.ports import BlobReader
from juststorage_objectstore._bucket import Bucket
from juststorage_objectstore._errors import NoRange

__all__ = ["ObjectReader", "open_reader"]

PIECE_BYTES: Final = 256 * 1024
"""Bytes of one piece of `chunks`; and of the first request, which thereby is the only one for most
blobs."""

_PAUSE_S: Final = 0.1


class ObjectReader(BlobReader):
    """The first piece is here; the rest is asked for when it is wanted."""

    def __init__(
        self, bucket: Bucket, locator: Locator, size_bytes: int, head: bytes, *, retries: int
    ) -> None:
        self.size_bytes = size_bytes
        self._bucket = bucket
        self._locator = locator
        self._head = head
        self._retries = retries

    def read_now(self, start: int, length: int) -> bytes | None:
        if start + length > len(self._head):
            return None
        return self._head[start : start + length]

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        end = start + length
        if start < end and start < len(self._head):
            piece = self._head[start:end]
            start += len(piece)
            await checkpoint()
            yield piece
        failures = 0
        while start < end:
            try:
                async for piece in self._rest(start, end):
                    failures = 0
                    start += len(piece)
                    yield piece
            except Unavailable as error:
                failures += 1
                if failures > self._retries or isinstance(error, _Gone):
                    raise
                # The connection broke: what came so far was right, so go on behind it.
                await anyio.sleep(_PAUSE_S * 2**failures)

    async def _rest(self, start: int, end: int) -> AsyncIterator[bytes]:
        try:
            result = await self._bucket.get(self._locator, start, end)
        except NotFound as error:
            raise _Gone("the blob was removed while it was read") from error
        if result.meta["size"] != self.size_bytes or tuple(result.range) != (start, end):
            raise Corrupt("the object store sends other bytes than were asked for")
        async for piece in self._bucket.pieces(result, PIECE_BYTES):
            start += len(piece)
            if start > end:
                raise Corrupt("the object store sends more bytes than were asked for")
            yield piece
        if start < end:
            raise Unavailable("the object store's answer ended early")

    async def aclose(self) -> None:
        """Nothing is held between two calls."""


class _Gone(Unavailable):
    """The blob of a reader was removed: another attempt finds nothing either."""


async def open_reader(bucket: Bucket, locator: Locator, *, retries: int) -> ObjectReader:
    """Ask for the first piece.

    Raises:
        NotFound: There is no such object.
        Unavailable: The store cannot tell now.
    """
    try:
        result = await bucket.get(locator, 0, PIECE_BYTES)
    except NoRange:
        # There is no first piece of nothing.
        if await bucket.size(locator) != 0:
            raise
        return ObjectReader(bucket, locator, 0, b"", retries=retries)
    size_bytes: int = result.meta["size"]
    head = b"".join([piece async for piece in bucket.pieces(result, PIECE_BYTES)])
    if len(head) != min(PIECE_BYTES, size_bytes):
        raise Unavailable("the object store's answer ended early")
    return ObjectReader(bucket, locator, size_bytes, head, retries=retries)
