"""What is in a store whose names do not tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Misconfigured
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.ports import BlobStore, PlacedBlob
from juststorage.runtime._scanned_places import ScannedPlaces
from juststorage.testing import make_content, open_backend
from juststorage.testing.faults import WrappedBlobStore
from juststorage.usecases import Place, upload_id_of

ONE, TWO = (make_content(name).content_hash for name in ("one", "two"))


class Generations(WrappedBlobStore):
    """Names that tell the upload at most."""

    tells = True

    async def scan(self, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
        return [
            PlacedBlob(
                placed.locator,
                placed.size_bytes,
                upload_id=upload_id_of(placed.content_hash) if self.tells else None,
            )
            for placed in await super().scan(after=after, limit=1)
            if placed.content_hash is not None
        ]


@pytest.fixture
async def inner() -> AsyncIterator[BlobStore]:
    """A store with two contents."""
    async with open_backend(MEMORY_BLOBS) as store:
        await store.put(ObjectId.new(), ONE, b"one")
        await store.put(ObjectId.new(), TWO, b"twoo")
        yield store


@pytest.mark.parametrize("wrap", [Generations, WrappedBlobStore])
async def test_contents_are_found(inner: BlobStore, wrap: Any) -> None:
    """By the upload, or by the hash where names tell that; what comes later too."""
    with closing(ScannedPlaces(wrap(inner))) as places:
        await places.learn()
        other = make_content("other").content_hash
        found = await places.find([ONE, TWO, other])
        assert {each: place.size_bytes for each, place in found.items()} == {ONE: 3, TWO: 4}
        await places.add(other, Place("somewhere", 5))
        assert await places.find([other]) == {other: Place("somewhere", 5)}


async def test_names_that_tell_nothing(inner: BlobStore) -> None:
    """Such a store is refused: what is there could not be found again."""
    store = Generations(inner)
    store.tells = False
    refused = pytest.raises(Misconfigured, match="names tell neither")
    with closing(ScannedPlaces(store)) as places, refused:
        await places.learn()


def test_ids_of_contents() -> None:
    """Equal ones for equal hashes, and the algorithm counts."""
    assert upload_id_of(ONE) == upload_id_of(ContentHash(str(ONE)))
    assert len({upload_id_of(each) for each in (ONE, TWO, ContentHash("other:" + ONE.hex))}) == 3
