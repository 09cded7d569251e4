"""The fixture and the steps that the tests of blob stores share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.plugins import BlobCapabilities, BlobStoreBackend
from juststorage.ports import BlobStore, PlacedBlob
from juststorage.testing._builders import make_content
from juststorage.testing.contracts._base import Contract

__all__ = ["BlobTests", "hash_of", "pattern", "place", "put", "read", "scan_all"]


class BlobTests(Contract):
    """The store, opened anew for each test."""

    backend: ClassVar[BlobStoreBackend[Any]]

    @pytest.fixture
    async def store(self, options: msgspec.Struct) -> AsyncIterator[BlobStore]:
        """The store under test, empty."""
        async with self.opened(options) as store:
            assert isinstance(store, BlobStore)
            yield store

    @property
    def can(self) -> BlobCapabilities:
        """What the backend declares."""
        return self.backend.capabilities


@cache
def _period() -> bytes:
    return bytes((position * 7 + position // 251) % 256 for position in range(64_997))


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that differ between seeds everywhere, and repeat with an odd period only."""
    period = _period().translate(bytes((value + seed) % 256 for value in range(256)))
    return (period * (size // len(period) + 1))[:size]


def hash_of(data: bytes) -> ContentHash:
    """The SHA-256 of these bytes."""
    return make_content(data).content_hash


async def place(store: BlobStore, data: bytes) -> Locator:
    """Stage and place bytes in the four steps."""
    async with await store.stage(ObjectId.new()) as staged:
        await staged.write(data)
        await staged.finish()
        return await store.place(staged, hash_of(data))


async def put(store: BlobStore, data: bytes) -> Locator:
    """Store bytes in one call."""
    return await store.put(ObjectId.new(), hash_of(data), data)


async def read(store: BlobStore, locator: Locator) -> bytes:
    """All bytes of a blob."""
    async with await store.open(locator) as reader:
        return b"".join([chunk async for chunk in reader.chunks(0, reader.size_bytes)])


async def scan_all(store: BlobStore, *, step: int = 1000) -> list[PlacedBlob]:
    """Every placed blob, page by page."""
    found: list[PlacedBlob] = []
    while page := await store.scan(after=found[-1].locator if found else None, limit=step):
        assert len(page) <= step
        found += page
    return found
