"""What may take long does not run on the event loop: hashing, directory walks, syncs.

A block of 2 MiB hashed there would hold up every other request for 1.5 ms, a walk through a
million files for seconds, a sync for as long as the disk likes. The seams, hasher and filesystem,
note which thread they are used in.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import Namespace, NewObject, ObjectId, StorageClass, TenantId
from juststorage.plugins import (
    BlobStoreBackend,
    HasherBackend,
    NoOptions,
    OpenContext,
    hookimpl,
)
from juststorage.ports import BlobStore, Hasher, UploadIntent
from juststorage.runtime import Runtime, UseCases, make_auditor, open_runtime
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions

KIB = 1024
MIB = 1024 * KIB

INLINE = {"open", "close", "fstat", "read_now"}
"""On the loop on purpose: opening a blob, and reading what memory has, cost less than a thread."""

HASHED_INLINE_MAX = 64 * KIB


class Noting:
    """A plugin: SHA-256 and localfs, as ever, but telling which calls ran on the event loop."""

    def __init__(self) -> None:
        self.loop_thread = threading.get_ident()
        self.calls: defaultdict[str, set[bool]] = defaultdict(set)
        self.hashed: list[tuple[int, bool]] = []

    def on_loop(self) -> bool:
        return threading.get_ident() == self.loop_thread

    @hookimpl
    def juststorage_hashers(self) -> Iterable[HasherBackend[NoOptions]]:
        """SHA-256."""

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
            yield NotingHasher(self)

        yield HasherBackend(name="noting", summary="Notes", options=NoOptions, open=opened)

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[LocalFSOptions]]:
        """The local filesystem."""

        @asynccontextmanager
        async def opened(options: LocalFSOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
            async with open_store(options, context, ops=NotingOps(self)) as store:
                yield store

        yield BlobStoreBackend(
            name="noting",
            summary="Notes",
            options=LocalFSOptions,
            open=opened,
            capabilities=LOCALFS.capabilities,
        )


class NotingHasher(Hasher):
    """SHA-256."""

    algorithm = "sha256"

    def __init__(self, notes: Noting) -> None:
        self._notes = notes

    def new(self) -> Any:
        return NotingState(self._notes)


class NotingState:
    """A digest."""

    def __init__(self, notes: Noting) -> None:
        self._notes = notes
        self._state = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self._notes.hashed.append((len(data), self._notes.on_loop()))
        self._state.update(data)

    def digest(self) -> bytes:
        return self._state.digest()


class NotingOps(FsOps):
    """The real filesystem."""

    def __init__(self, notes: Noting) -> None:
        self._notes = notes


def _noting(name: str) -> Callable[..., Any]:
    real = getattr(FsOps, name)

    def call(self: NotingOps, *args: Any, **kwargs: Any) -> Any:
        self._notes.calls[name].add(self._notes.on_loop())
        return real(self, *args, **kwargs)

    return call


CALLS = [name for name, value in vars(FsOps).items() if callable(value) and name[0] != "_"]
for _name in CALLS:
    setattr(NotingOps, _name, _noting(_name))


@pytest.fixture
async def notes() -> Noting:
    """What is noted; made on the event loop."""
    return Noting()


@pytest.fixture
async def runtime(notes: Noting, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A service on SQLite and the noting plugins, which forgets what it noted while it opened."""
    config = {
        "data_dir": str(tmp_path),
        "metadata": {"backend": "sqlite"},
        "blobs": {
            "hot": {"backend": "noting", "noting": {"root": str(tmp_path / "hot")}},
            "cold": {"backend": "noting", "noting": {"root": str(tmp_path / "cold")}},
        },
        "hasher": {"backend": "noting"},
        "auth": {"chain": []},
        "gc": {
            "grace_s": 0,
            "trash_retention_s": 0,
            "staging_grace_s": 0,
            "tombstone_retention_s": 0,
        },
    }
    for name in ("hot", "cold"):
        (tmp_path / name).mkdir()
    async with open_runtime(config, plugins=[notes]) as opened:
        notes.calls.clear()
        notes.hashed.clear()
        yield opened


def intent() -> UploadIntent:
    """To store an object."""
    new = NewObject(id=ObjectId.new(), namespace=Namespace("n"), tenant_id=TenantId("t"), key=None)
    return UploadIntent(new=new)


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    """A body as it arrives."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("chunk", [16 * KIB, 300 * KIB, 3 * MIB])
async def test_large_bodies_are_hashed_in_threads(
    runtime: Runtime, notes: Noting, chunk: int
) -> None:
    """However a body arrives, no more than 64 KiB of it is hashed on the event loop at a time."""
    cases = await UseCases.of(runtime)
    data = os.urandom(5 * MIB)
    await cases.upload.stream(intent(), in_chunks(data, chunk))
    assert sum(size for size, _ in notes.hashed) == len(data)
    assert not any(on_loop for _, on_loop in notes.hashed)


@pytest.mark.parametrize("size", [HASHED_INLINE_MAX, HASHED_INLINE_MAX + 1, MIB])
async def test_whole_bodies_are_hashed_where_their_size_says(
    runtime: Runtime, notes: Noting, size: int
) -> None:
    """Up to 64 KiB a thread would cost more than the hashing; above, the loop is not held up."""
    cases = await UseCases.of(runtime)
    stored = (await cases.upload.whole(intent(), os.urandom(size))).object
    async with await cases.download.open(stored) as reader:
        data = await cases.download.small(reader, stored)
        if data is None:
            data = b"".join([piece async for piece in cases.download.pieces(reader, stored)])
        assert len(data) == size
    assert notes.hashed
    assert all(on_loop is (size <= HASHED_INLINE_MAX) for _, on_loop in notes.hashed)


async def test_only_opening_and_memory_are_used_on_the_loop(
    runtime: Runtime, notes: Noting
) -> None:
    """Syncs, renames, removals, walks through directories: all of them in threads."""
    cases = await UseCases.of(runtime)
    for number in range(3):
        small = (await cases.upload.whole(intent(), b"%d" % number)).object
        large = (
            await cases.upload.stream(intent(), in_chunks(os.urandom(2 * MIB), 256 * KIB))
        ).object
        async with await cases.download.open(large) as reader:
            assert len(b"".join([part async for part in reader.chunks(0, 2 * MIB)])) == 2 * MIB
        await cases.delete.by_id(TenantId("t"), small.id)
    assert all(part.ok for part in await runtime.readiness())
    report = await cases.collect.run()
    assert (report.removed, report.errors) == (3, 0)
    assert [found async for found in make_auditor(runtime, deep=True).findings()] == []
    store = runtime.blobs[StorageClass.HOT]
    assert len(await store.scan(after=None, limit=10)) == 3
    assert await store.staged(older_than_s=0, limit=10) == []

    used = {name for name, where in notes.calls.items() if False in where}
    assert {"entries", "fsync", "rename", "write", "statvfs", "pread"} <= used
    assert {name for name, where in notes.calls.items() if True in where} <= INLINE
    assert not any(on_loop for size, on_loop in notes.hashed if size > HASHED_INLINE_MAX)
