"""The fixture and the steps that the tests of metadata stores share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.domain import Blob, BlobKey, ObjectId, ObjectStatus, StorageClass, StoredObject
from juststorage.plugins import MetadataStoreBackend
from juststorage.ports import Content, Lease, MetadataStore, Removal, Reservation, UploadIntent
from juststorage.testing._audit import audit_metadata
from juststorage.testing._builders import LEASE_S, TENANT, make_content, store_object
from juststorage.testing.contracts._base import Contract

__all__ = [
    "MetadataTests",
    "always",
    "begin",
    "blob_key",
    "blob_of",
    "claim",
    "collect",
    "garbage",
    "move_all",
    "object_by_id",
    "reserve",
    "scan_objects",
    "status_of",
]


class MetadataTests(Contract):
    """The store, opened anew for each test and audited after it."""

    backend: ClassVar[MetadataStoreBackend[Any]]

    @pytest.fixture
    async def store(self, options: msgspec.Struct) -> AsyncIterator[MetadataStore]:
        """The store under test, empty; its invariants are checked when the test is over."""
        async with self.opened(options) as store:
            assert isinstance(store, MetadataStore)
            yield store
            assert await audit_metadata(store) == []


def always(blob: Blob, now: datetime) -> bool:
    """A policy that collects everything."""
    return True


def blob_key(content: Content, storage_class: StorageClass = StorageClass.HOT) -> BlobKey:
    """The blob that this content is."""
    return BlobKey(content.content_hash, storage_class)


async def blob_of(
    store: MetadataStore, content: Content, storage_class: StorageClass = StorageClass.HOT
) -> Blob:
    """The blob's row, which must be there."""
    key = blob_key(content, storage_class)
    found = await store.blobs.find([key])
    assert set(found) == {key}
    return found[key]


async def begin(store: MetadataStore, intent: UploadIntent, *, lease_s: float = LEASE_S) -> Lease:
    """Begin an upload, with a long lease."""
    return await store.objects.begin(intent, lease_s=lease_s)


async def reserve(
    store: MetadataStore,
    intent: UploadIntent,
    content: Content | None = None,
    *,
    lease_s: float = LEASE_S,
) -> Reservation:
    """Begin an upload and reserve its content."""
    lease = await begin(store, intent, lease_s=lease_s)
    return await store.objects.reserve(lease, content or make_content(intent.new.id))


async def scan_objects(store: MetadataStore, *, step: int = 1000) -> list[StoredObject]:
    """Every object, page by page."""
    found: list[StoredObject] = []
    while page := await store.objects.scan(after=found[-1].id if found else None, limit=step):
        assert len(page) <= step
        found += page
    return found


async def object_by_id(store: MetadataStore, object_id: ObjectId) -> StoredObject | None:
    """The object in whatever state, as the auditor sees it."""
    found = {each.id: each for each in await scan_objects(store)}
    return found.get(object_id)


async def status_of(store: MetadataStore, object_id: ObjectId) -> ObjectStatus:
    """Its status, whatever that is."""
    found = await object_by_id(store, object_id)
    assert found is not None
    return found.status


async def claim(store: MetadataStore, *, limit: int = 100) -> list[Blob]:
    """Claim all garbage, whatever its age."""
    return await store.blobs.claim(grace_s=0, claim_s=LEASE_S, limit=limit, agree=always)


async def garbage(store: MetadataStore, *names: str) -> list[Content]:
    """Contents whose only object was deleted, oldest first."""
    contents = [make_content(name) for name in names]
    for content in contents:
        committed = await store_object(store, None, content)
        await store.objects.delete(TENANT, committed.object.id)
    return contents


async def move_all(blobs: Sequence[Blob]) -> Collection[BlobKey]:
    """A move that always works."""
    return [blob.key for blob in blobs]


async def collect(store: MetadataStore) -> Removal:
    """Claim and remove all garbage."""
    return await store.blobs.remove([blob.key for blob in await claim(store)], move_all)
