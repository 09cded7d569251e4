"""Where backups lie: one blob store with segments and contents, one with the manifests.

Two, because a manifest has to be found without knowing its name: all manifests are listed, which
nobody wants to do with all contents. Nothing in either is ever replaced by other bytes, and the
manifest comes last: a backup that was interrupted is none, and what it has copied is found by the
next one.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID

import msgspec

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Corrupt, JustStorageError, NotFound
from juststorage.ports import BlobReader, BlobStore
from juststorage.usecases._backup._format import (
    Manifest,
    SegmentRef,
    decode_manifest,
    encode_manifest,
    is_as_written,
    sha256_of,
)
from juststorage.usecases._backup._manifests import Manifests, UnreadableManifest

__all__ = ["BackupTarget", "FixedPlaces", "Place", "Places", "upload_id_of"]

_STALE_S = 86_400.0
"""What was staged by a backup that died is discarded by one that begins a day later."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where something is in a blob store, and how many bytes it has."""

    locator: Locator
    size_bytes: int


class Places(ABC):
    """Finds contents in a blob store by their hash."""

    @abstractmethod
    async def learn(self) -> None:
        """Look what there is. Once, before anything is asked for."""

    @abstractmethod
    async def find(self, hashes: Sequence[ContentHash]) -> dict[ContentHash, Place]:
        """Where these are; those that are not there are left out."""

    @abstractmethod
    async def add(self, content_hash: ContentHash, place: Place) -> None:
        """This one has just been placed."""


class FixedPlaces(Places):
    """For stores with fixed names: the hash leads to the place."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def learn(self) -> None:
        return

    async def find(self, hashes: Sequence[ContentHash]) -> dict[ContentHash, Place]:
        locators = {each: self._store.locator_of(each) for each in hashes}
        known = {each: place for each, place in locators.items() if place is not None}
        sizes = await self._store.sizes(list(known.values()))
        return {
            each: Place(locator, size)
            for each, locator in known.items()
            if (size := sizes.get(locator)) is not None
        }

    async def add(self, content_hash: ContentHash, place: Place) -> None:
        return


def upload_id_of(content_hash: ContentHash) -> ObjectId:
    """The upload under whose name contents are placed in a backup.

    A store with generations names what it has by that, and by nothing else. So it is made of the
    hash: 128 bits of it, which is enough to find contents that are there; their whole hash is
    compared wherever they are read.
    """
    digest = hashlib.sha256(content_hash.encode()).digest()
    return ObjectId(str(UUID(bytes=digest[:16])))


class BackupTarget:
    """Both stores.

    Args:
        contents: Segments, and the bytes of blobs. Each content once, whatever classes it has.
        manifests: One blob for each backup.
        places: Finds what is in `contents`.
    """

    def __init__(self, contents: BlobStore, manifests: BlobStore, places: Places) -> None:
        self.contents = contents
        self.places = places
        self._manifests = manifests

    async def learn(self) -> None:
        """Look what there is; before anything else."""
        await self.places.learn()

    async def tidy(self) -> None:
        """Discard what backups that died have staged."""
        for store in (self.contents, self._manifests):
            while entries := await store.staged(older_than_s=_STALE_S, limit=100):
                await store.discard(entries)

    async def open(self, content_hash: ContentHash, size_bytes: int) -> BlobReader:
        """A reader of contents; the caller closes it.

        Raises:
            NotFound: They are not in the backup.
            Corrupt: They have another size.
        """
        place = (await self.places.find([content_hash])).get(content_hash)
        if place is None:
            raise NotFound("it is not in the backup")
        if place.size_bytes != size_bytes:
            raise Corrupt(f"it has {place.size_bytes} bytes instead of {size_bytes}")
        return await self.contents.open(place.locator)

    async def discard(self, content_hash: ContentHash) -> None:
        """Remove damaged contents, so that the next backup copies them anew."""
        place = (await self.places.find([content_hash])).get(content_hash)
        if place is not None:
            for failure in (await self.contents.remove([place.locator])).values():
                raise failure

    # -- segments -----------------------------------------------------------------------------

    async def put_segment(self, data: bytes, records: dict[str, int]) -> SegmentRef:
        """Keep a segment; one that is there is made durable, and left alone."""
        content_hash = sha256_of(data)
        place = (await self.places.find([content_hash])).get(content_hash)
        if place is None or place.size_bytes != len(data):
            locator = await self.contents.put(upload_id_of(content_hash), content_hash, data)
            await self.places.add(content_hash, Place(locator, len(data)))
        else:
            await self.contents.make_durable([place.locator])
        return SegmentRef(content_hash=str(content_hash), size_bytes=len(data), records=records)

    async def segment(self, ref: SegmentRef) -> bytes:
        """A segment, verified.

        Raises:
            Corrupt: It is missing or damaged.
        """
        content_hash = ContentHash(ref.content_hash)
        try:
            async with await self.open(content_hash, ref.size_bytes) as reader:
                data = b"".join([piece async for piece in reader.chunks(0, reader.size_bytes)])
        except (NotFound, Corrupt):
            data = b""
        if sha256_of(data) != content_hash:
            raise Corrupt(f"the segment {content_hash} is missing or damaged")
        return data

    # -- manifests ----------------------------------------------------------------------------

    async def put_manifest(self, manifest: Manifest) -> None:
        """Make a backup of what has been kept."""
        data = encode_manifest(manifest)
        await self._manifests.put(ObjectId(manifest.id), sha256_of(data), data)

    async def manifests(self) -> Manifests:
        """All backups, and what is wrong with those that cannot be read."""
        readable: list[Manifest] = []
        unreadable: list[UnreadableManifest] = []
        after: Locator | None = None
        while page := await self._manifests.scan(after=after, limit=1000):
            after = page[-1].locator
            for placed in page:
                found = await self._read(placed.locator)
                if isinstance(found, Manifest):
                    readable.append(found)
                elif found is not None:
                    unreadable.append(found)
        readable.sort(key=lambda each: (each.taken_at, each.id))
        return Manifests(readable, unreadable)

    async def manifest(self, backup_id: str | None) -> Manifest:
        """One of them; see `Manifests.choose`."""
        return (await self.manifests()).choose(backup_id)

    async def discard_manifests(self, there: Manifests) -> Manifests:
        """Remove manifests that are damaged, so that they hide no newest backup; what is left.

        Those that may be whole, and are of a later release or in a store that is away, stay.
        """
        damaged = [each.locator for each in there.unreadable if each.is_damaged]
        for failure in (await self._manifests.remove(damaged)).values():
            raise failure
        return Manifests(there.readable, [each for each in there.unreadable if not each.is_damaged])

    async def _read(self, locator: Locator) -> Manifest | UnreadableManifest | None:
        """The manifest there; None where it has gone since it was listed."""
        is_damaged = False
        try:
            data = await self._whole(locator)
            is_damaged = not is_as_written(data)
            return decode_manifest(data)
        except NotFound:
            return None
        except JustStorageError as error:
            return UnreadableManifest(locator=locator, detail=error.detail, is_damaged=is_damaged)

    async def _whole(self, locator: Locator) -> bytes:
        async with await self._manifests.open(locator) as reader:
            return b"".join([piece async for piece in reader.chunks(0, reader.size_bytes)])
