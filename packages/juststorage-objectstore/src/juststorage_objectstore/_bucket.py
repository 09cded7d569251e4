"""The requests that the store makes, each with a deadline and with errors of ours.

Attempts are the client's business (`retries`): it repeats what may be repeated. What it cannot
know is left to those who call: that a name is used once, so that an object of the right size under
it is the one that was being written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import obstore

from juststorage.domain import Locator
from juststorage.errors import JustStorageError, NotFound, Unavailable
from juststorage_objectstore._calls import Call, Calls
from juststorage_objectstore._errors import DRIVER_ERRORS, translate
from juststorage_objectstore._settings import Store

if TYPE_CHECKING:
    from obstore import AsyncWritableFile, GetResult

__all__ = ["Bucket", "Writer"]

_ABORT_S = 10.0
"""Seconds for telling the store that nothing more will come. The sweeper does what is left."""


class Bucket:
    """Objects by name. Raises `NotFound`, `StorageFull` and `Unavailable`, nothing else."""

    def __init__(self, store: Store, calls: Calls, *, deadline_s: float) -> None:
        self._store = store
        self._calls = calls
        self._deadline_s = deadline_s

    @contextmanager
    def limits(self) -> Iterator[None]:
        """The deadline, and errors of ours, for one call."""
        try:
            with anyio.fail_after(self._deadline_s):
                yield
        except TimeoutError as error:
            raise Unavailable("the object store did not answer in time") from error
        except DRIVER_ERRORS as error:
            raise translate(error) from error

    @contextmanager
    def call(self, what: Call) -> Iterator[None]:
        """The limits of a call that begins something at the store, and a span of it."""
        with self._calls(what), self.limits():
            yield

    async def put(self, name: str, data: bytes) -> None:
        """Write an object in one request."""
        with self.call("put"):
            await obstore.put_async(self._store, name, data, use_multipart=False)

    def writer(self, name: str, *, part_bytes: int, parts_at_once: int) -> Writer:
        """Write an object in parts."""
        file = obstore.open_writer_async(
            self._store, name, buffer_size=part_bytes, max_concurrency=parts_at_once
        )
        return Writer(self, file)

    async def size(self, name: str) -> int | None:
        """The size of an object, None for none."""
        try:
            with self.call("head"):
                return (await obstore.head_async(self._store, name))["size"]
        except NotFound:
            return None

    async def get(self, name: str, start: int, end: int) -> GetResult:
        """The beginning of an answer with these bytes, or with fewer where the object ends."""
        with self.call("get"):
            return await obstore.get_async(self._store, name, options={"range": (start, end)})

    async def get_whole(self, name: str) -> GetResult:
        """The beginning of an answer with all bytes."""
        with self.call("get"):
            return await obstore.get_async(self._store, name)

    async def pieces(self, result: GetResult, piece_bytes: int) -> AsyncIterator[bytes]:
        """The body of an answer, in pieces of about this size."""
        stream = result.stream(min_chunk_size=piece_bytes)
        while True:
            with self.limits():
                try:
                    piece = await anext(stream)
                except StopAsyncIteration:
                    return
            yield piece

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects in as few requests as the store knows. Absent ones are fine."""
        try:
            with self.call("delete"):
                await obstore.delete_async(self._store, list(names))
        except NotFound:
            if len(names) > 1:  # of the others nobody knows
                raise Unavailable("the object store failed at one of several deletes") from None

    async def listed(
        self, prefix: str, *, after: Locator | None, page: int
    ) -> AsyncIterator[list[tuple[str, int]]]:
        """Names and sizes below a prefix, ascending, behind `after`, page by page.

        Not every server of Azure's protocol knows where to begin: from such a one all names come,
        and those up to `after` are passed over here.

        Raises:
            Unavailable: Also when the store lists in no order, as some do on request: a walk that
                goes on behind a name would miss others.
        """
        stream = obstore.list(self._store, prefix, offset=after, chunk_size=page)
        begin, last = after or "", ""
        while True:
            with self.call("list"):
                try:
                    found = await anext(stream)
                except StopAsyncIteration:
                    return
            for each in found:
                if each["path"] <= last:
                    raise Unavailable("the object store lists objects in no order")
                last = each["path"]
            yield [(each["path"], each["size"]) for each in found if each["path"] > begin]


class Writer:
    """An object that is written in parts. Nothing of it is visible before `close` returns."""

    def __init__(self, bucket: Bucket, file: AsyncWritableFile) -> None:
        self._bucket = bucket
        self._file: AsyncWritableFile | None = file

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes; waits while as many parts are under way as may be."""
        assert self._file is not None, "closed"
        with self._bucket.limits():
            await self._file.write(data)

    async def close(self) -> None:
        """Send what is left, and make the object."""
        assert self._file is not None, "closed"
        file, self._file = self._file, None
        with self._bucket.call("complete"):
            await file.close()

    async def abort(self) -> None:
        """Tell the store to forget the parts. Does not raise, and is not cancelled."""
        file, self._file = self._file, None
        if file is None:
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(_ABORT_S):
            try:
                await file.__aexit__(JustStorageError, None, None)
            except DRIVER_ERRORS:
                return  # the sweeper finds them
