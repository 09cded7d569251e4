"""The auditor of metadata: the invariants that hold between any two transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from juststorage.domain import Blob, BlobKey, ObjectId, ObjectStatus, StoredObject, TenantId
from juststorage.ports import MetadataStore

__all__ = ["audit_metadata"]

_STEP = 500


async def audit_metadata(store: MetadataStore) -> list[str]:
    """Every breach of I1, I3, I7 (storage protocol) and I12 (usage), a sentence each; else empty.

    Reads through `scan`, page by page, so it wants a store that nobody writes to meanwhile.
    """
    objects = [each async for each in _objects(store)]
    blobs = {blob.key: blob async for blob in _blobs(store)}
    return [
        *_committed_without_blob(objects, blobs),
        *_wrong_counts(objects, blobs),
        *_keys_held_twice(objects),
        *[each async for each in _wrong_usage(store)],
    ]


async def _objects(store: MetadataStore) -> AsyncIterator[StoredObject]:
    after: ObjectId | None = None
    while found := await store.objects.scan(after=after, limit=_STEP):
        for each in found:
            yield each
        after = found[-1].id


async def _blobs(store: MetadataStore) -> AsyncIterator[Blob]:
    after: BlobKey | None = None
    while found := await store.blobs.scan(after=after, limit=_STEP):
        for each in found:
            yield each
        after = found[-1].key


def _held(each: StoredObject) -> BlobKey | None:
    """The blob that an object counts on: COMMITTED, or WRITING once it has reserved."""
    holds = each.status in (ObjectStatus.COMMITTED, ObjectStatus.WRITING)
    if not holds or each.content_hash is None:
        return None
    return BlobKey(each.content_hash, each.storage_class)


def _committed_without_blob(objects: list[StoredObject], blobs: dict[BlobKey, Blob]) -> list[str]:
    """I1: every COMMITTED object has its blob row, of its class, size and place, stored."""
    found: list[str] = []
    for each in objects:
        if each.status is not ObjectStatus.COMMITTED:
            continue
        key = _held(each)
        blob = None if key is None else blobs.get(key)
        if blob is None:
            found.append(f"I1: {each.id} is committed and has no blob row")
            continue
        if blob.size_bytes != each.size_bytes:
            found.append(f"I1: {each.id} has {each.size_bytes} bytes, its blob {blob.size_bytes}")
        if blob.stored_at is None or blob.locator is None:
            found.append(f"I1: {each.id} is committed and its blob is not stored")
        if blob.locator != each.locator:
            found.append(f"I1: {each.id} has locator {each.locator!r}, its blob {blob.locator!r}")
    return found


def _wrong_counts(objects: list[StoredObject], blobs: dict[BlobKey, Blob]) -> list[str]:
    """I3: ref_count is the number of holders, and zero_since is set exactly when that is none."""
    holders = Counter(key for each in objects if (key := _held(each)) is not None)
    found = [
        f"I3: {key} is held by {holders[key]} and has no row" for key in holders if key not in blobs
    ]
    for key, blob in blobs.items():
        if blob.ref_count != holders[key]:
            found.append(f"I3: {key} counts {blob.ref_count} references, {holders[key]} exist")
        if (blob.zero_since is None) != (blob.ref_count > 0):
            found.append(f"I3: {key} counts {blob.ref_count}, zero_since is {blob.zero_since}")
    return found


def _keys_held_twice(objects: list[StoredObject]) -> list[str]:
    """I7: at most one COMMITTED object for each (namespace, tenant, key)."""
    names = Counter(
        (each.namespace, each.tenant_id, each.key)
        for each in objects
        if each.status is ObjectStatus.COMMITTED and each.key is not None
    )
    return [
        f"I7: {number} objects have the key {name}" for name, number in names.items() if number > 1
    ]


async def _wrong_usage(store: MetadataStore) -> AsyncIterator[str]:
    """I12: what is counted for a tenant is what it has."""
    after: TenantId | None = None
    while (found := await store.usage.recount(after=after, repair=False)) is not None:
        after = found.tenant_id
        for drift in found.drifts:
            yield f"I12: {found.tenant_id}: {drift}"
