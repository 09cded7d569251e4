"""The store: every placing makes a name that was never used before, so that a delete that arrives
late hits nothing that is needed.

    staging/<upload id>.<random>                              bytes on their way in
    blobs/<algorithm>/<2 digits>/<digest>.<upload>.<random>   placed; the locator is what follows blobs/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from heapq import nsmallest
from typing import BinaryIO, TypeVar

import anyio.to_thread
from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Corrupt, JustStorageError, NotFound, Unavailable
from juststorage.ports import (
    BlobReader,
    BlobStore,
    Clock,
    PlacedBlob,
    Space,
    StagedBlob,
    StagedEntry,
)

from juststorage_fsspec._files import Files, OpenFile

__all__ = ["FsspecBlobStore"]

ResultT = TypeVar("ResultT")

_UPLOAD = r"(?P<upload>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[0-9a-f]{8}"
_ENTRY = re.compile(_UPLOAD)
_LOCATOR = re.compile(
    rf"(?P<algorithm>[a-z][a-z0-9_]*)/[0-9a-f]{{2}}/(?P<digest>[0-9a-f]+)\.{_UPLOAD}"
)
_CHUNK_BYTES = 1024 * 1024


@contextmanager
def _translated() -> Iterator[None]:
    """fsspec's errors are the system's, also for remote filesystems. Details go to the log only."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unavailable("what was staged is not there any more") from error
    except (OSError, ValueError) as error:
        raise Unavailable("the filesystem cannot be used now") from error


async def _in_thread(run: Callable[[], ResultT]) -> ResultT:
    with _translated():
        return await anyio.to_thread.run_sync(run)


class _Staged(StagedBlob):
    def __init__(self, files: Files, entry: str, file: BinaryIO) -> None:
        self.entry = entry
        self.placed = False
        self.size_bytes = 0
        self._files = files
        self._file = file

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        def write_all() -> int:
            view, written = memoryview(data).cast("B"), 0
            while written < len(view):
                # A copy: some filesystems keep what they are given until it is sent.
                written += self._file.write(bytes(view[written:]))
            return written

        self.size_bytes += await _in_thread(write_all)

    async def finish(self) -> None:
        await _in_thread(partial(self._files.finish, self._file))

    async def aclose(self) -> None:
        def close() -> None:
            self._file.close()
            if not self.placed:
                self._files.remove(f"staging/{self.entry}")

        if not self.placed:
            with anyio.CancelScope(shield=True):
                try:
                    await _in_thread(close)
                except JustStorageError:
                    return  # the sweeper finds it


class _Reader(BlobReader):
    def __init__(self, file: OpenFile) -> None:
        self.size_bytes = file.size_bytes
        self._file = file

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        at, end = start, start + length
        while at < end:
            data = await _in_thread(partial(self._file.read, at, min(_CHUNK_BYTES, end - at)))
            if not data:
                raise Corrupt("the blob ended early")
            at += len(data)
            yield data

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await _in_thread(self._file.close)
            except JustStorageError:
                return


class FsspecBlobStore(BlobStore):
    """See `BlobStore`."""

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._clock = clock

    async def stage(self, upload_id: ObjectId) -> StagedBlob:
        entry = f"{upload_id}.{secrets.token_hex(4)}"
        file = await _in_thread(partial(self._files.create, f"staging/{entry}"))
        return _Staged(self._files, entry, file)

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        assert isinstance(staged, _Staged)
        digest = content_hash.hex
        locator = f"{content_hash.algorithm}/{digest[:2]}/{digest}.{staged.entry}"

        def move() -> None:
            self._files.move(f"staging/{staged.entry}", f"blobs/{locator}")
            staged.placed = True

        await _in_thread(move)
        return locator

    async def open(self, locator: Locator) -> BlobReader:
        def opened() -> _Reader:
            if not _LOCATOR.fullmatch(locator):
                raise NotFound("there is no such blob")
            try:
                return _Reader(self._files.open(f"blobs/{locator}"))
            except FileNotFoundError as error:
                raise NotFound("there is no such blob") from error

        return await _in_thread(opened)

    async def stat(self, locator: Locator) -> int | None:
        def size() -> int | None:
            if not _LOCATOR.fullmatch(locator):
                return None
            try:
                return self._files.size(f"blobs/{locator}")
            except FileNotFoundError:
                return None

        return await _in_thread(size)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        failures: dict[Locator, JustStorageError] = {}
        for locator in filter(_LOCATOR.fullmatch, locators):
            try:
                await _in_thread(partial(self._files.remove, f"blobs/{locator}"))
            except JustStorageError as error:
                failures[locator] = error
        return failures

    async def staged(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[StagedEntry]:
        until = self._clock.now() - timedelta(seconds=older_than_s)

        def entries() -> Iterator[StagedEntry]:
            for name, _ in self._files.listed("staging"):
                match = _ENTRY.fullmatch(name)
                if match is None or (after is not None and name <= after):
                    continue
                try:
                    old = self._files.modified(f"staging/{name}") <= until
                except FileNotFoundError:
                    continue  # placed or discarded meanwhile
                if old:
                    yield StagedEntry(ObjectId(match["upload"]), name)

        return await _in_thread(lambda: nsmallest(limit, entries(), key=lambda it: it.entry))

    async def discard(self, entries: Sequence[StagedEntry]) -> None:
        first: JustStorageError | None = None
        for entry in entries:
            if not _ENTRY.fullmatch(entry.entry):
                continue
            try:
                await _in_thread(partial(self._files.remove, f"staging/{entry.entry}"))
            except JustStorageError as error:
                first = first or error
        if first is not None:
            raise first

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        # fsspec lists everything or nothing, so every page costs a whole listing.
        def blobs() -> Iterator[PlacedBlob]:
            for name, size_bytes in self._files.listed("blobs"):
                match = _LOCATOR.fullmatch(name)
                if match is not None and (after is None or name > after):
                    content_hash = ContentHash(f"{match['algorithm']}:{match['digest']}")
                    yield PlacedBlob(name, size_bytes, content_hash, ObjectId(match["upload"]))

        return await _in_thread(lambda: nsmallest(limit, blobs(), key=lambda it: it.locator))

    async def space(self) -> Space | None:
        return None

    async def ping(self) -> None:
        await _in_thread(self._files.prove)
