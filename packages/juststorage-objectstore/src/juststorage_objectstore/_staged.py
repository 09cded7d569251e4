"""An upload on its way in: in memory while it is small, in parts beyond that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from anyio.lowlevel import checkpoint

from juststorage.domain import Locator, ObjectId
from juststorage.errors import JustStorageError, NotFound, TooLarge, Unavailable
from juststorage.ports import Clock, StagedBlob
from juststorage_objectstore._bucket import Bucket, Writer

__all__ = ["PARTS_MAX", "ObjectStagedBlob", "confirm"]

PARTS_MAX: Final = 10_000
"""Parts of one object that S3 takes."""


class ObjectStagedBlob(StagedBlob):
    """Bytes for one locator. Up to one part of them is held here, and vanishes with the process.

    The store learns by `leaves_memory` that there is nothing more here for a sweeper to discard.
    """

    def __init__(
        self,
        bucket: Bucket,
        locator: Locator,
        upload_id: ObjectId,
        *,
        part_bytes: int,
        parts_at_once: int,
        clock: Clock,
        leaves_memory: Callable[[ObjectStagedBlob], None],
    ) -> None:
        self.size_bytes = 0
        self.locator = locator
        self.upload_id = upload_id
        self.written_at: datetime = clock.now()
        self._bucket = bucket
        self._part_bytes = part_bytes
        self._parts_at_once = parts_at_once
        self._clock = clock
        self._leaves_memory = leaves_memory
        self._held: bytearray | None = bytearray()
        self._writer: Writer | None = None
        self._is_finished = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._is_finished, "written to after finish"
        size = self.size_bytes + len(data)
        if size > self._part_bytes * PARTS_MAX:
            await self.aclose()
            raise TooLarge(f"the object store takes {self._part_bytes * PARTS_MAX} bytes at most")
        self.written_at = self._clock.now()
        if self._held is not None and size <= self._part_bytes:
            self._held += data
            await checkpoint()
        else:
            await self._send(data)
        self.size_bytes = size

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        try:
            if self._writer is None:
                held = self._need(self._held)
                self._forget()
                self._writer = self._bucket.writer(
                    self.locator, part_bytes=self._part_bytes, parts_at_once=self._parts_at_once
                )
                await self._writer.write(held)
            await self._writer.write(data)
        except NotFound as error:
            await self.aclose()
            raise Unavailable("the staged bytes were discarded") from error
        except JustStorageError:
            await self.aclose()
            raise

    async def finish(self) -> None:
        # Nothing is durable before `place`, which sends the last part: an acknowledgement waits
        # for that one anyway, and an upload that turns out to be a duplicate then never sends it.
        if self._held is None and self._writer is None:
            raise Unavailable("the staged bytes were discarded")
        self._is_finished = True
        await checkpoint()

    async def place(self) -> Locator:
        """Make the object."""
        assert self._is_finished, "place follows finish"
        if self._writer is not None:
            writer = self._writer
            await confirm(self._bucket, self.locator, self.size_bytes, writer.close)
            self._writer = None
        else:
            data = bytes(self._need(self._held))
            await confirm(
                self._bucket,
                self.locator,
                self.size_bytes,
                lambda: self._bucket.put(self.locator, data),
            )
            self._forget()
        return self.locator

    def discard(self) -> None:
        """Forget what is held in memory, under whoever is writing it."""
        self._forget()

    async def aclose(self) -> None:
        self._forget()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.abort()

    def _forget(self) -> None:
        self._held = None
        self._leaves_memory(self)

    def _need(self, held: bytearray | None) -> bytearray:
        if held is None:
            raise Unavailable("the staged bytes were discarded")
        return held


async def confirm(
    bucket: Bucket, locator: Locator, size_bytes: int, make: Callable[[], Awaitable[None]]
) -> None:
    """Make an object, and look before believing that it failed.

    The answer may be what was lost, and another attempt then finds the parts used up. The name is
    nobody else's, and objects appear whole: one of the right size is this one.
    """
    try:
        await make()
    except JustStorageError as error:
        if await _is_there(bucket, locator, size_bytes):
            return
        if isinstance(error, NotFound):
            raise Unavailable("the staged bytes were discarded") from error
        raise


async def _is_there(bucket: Bucket, locator: Locator, size_bytes: int) -> bool:
    try:
        return await bucket.size(locator) == size_bytes
    except JustStorageError:
        return False
