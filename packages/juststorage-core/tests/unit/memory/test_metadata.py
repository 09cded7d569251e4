"""What only the memory store itself can be asked: its clock, its drift, its own refusals."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest
from msgspec.structs import replace

from juststorage.domain import Blob, BlobKey, ObjectStatus, StorageClass
from juststorage.errors import Corrupt, InvalidState
from juststorage.plugins.memory._metadata_store import MemoryMetadataStore
from juststorage.ports import Content, CountDrift, Removal
from juststorage.testing import (
    FakeClock,
    audit_metadata,
    make_content,
    make_intent,
    store_object,
)

pytest_plugins = ["juststorage.testing.fixtures"]

CONTENT = make_content("x")
KEY = BlobKey(CONTENT.content_hash, StorageClass.HOT)


@pytest.fixture
def store(fake_clock: FakeClock) -> MemoryMetadataStore:
    """A store whose clock the test moves."""
    return MemoryMetadataStore(fake_clock)


async def move_all(blobs: Sequence[Blob]) -> Collection[BlobKey]:
    """A move that works."""
    return [blob.key for blob in blobs]


async def claim(store: MemoryMetadataStore, *, grace_s: float = 0) -> list[Blob]:
    """Claim for a minute."""
    return await store.blobs.claim(
        grace_s=grace_s, claim_s=60, limit=10, agree=lambda blob, now: True
    )


async def test_a_commit_without_a_reservation(store: MemoryMetadataStore) -> None:
    """There is nothing to make visible."""
    lease = await store.objects.begin(make_intent(), lease_s=60)
    with pytest.raises(InvalidState):
        await store.objects.commit(lease, "placed")
    assert await audit_metadata(store) == []


async def test_equal_hashes_of_different_sizes(store: MemoryMetadataStore) -> None:
    """Either the hash or a size is a lie, and nothing is recorded."""
    await store_object(store, None, CONTENT)
    lie = Content(CONTENT.content_hash, 99)
    lease = await store.objects.begin(make_intent(), lease_s=60)
    with pytest.raises(Corrupt):
        await store.objects.reserve(lease, lie)
    with pytest.raises(Corrupt):
        await store.objects.begin_reserved(make_intent(), lie, lease_s=60)
    assert store.rows.blobs[KEY].ref_count == 1
    assert len(store.rows.objects) == 2


async def test_leases_grace_and_claims_run_by_the_clock(
    store: MemoryMetadataStore, fake_clock: FakeClock
) -> None:
    """Each is over exactly when its time has come, not before."""
    lease = await store.objects.begin(make_intent("k"), lease_s=10)
    await fake_clock.advance(9.9)
    assert await store.objects.reap(limit=9) == []
    await store.objects.renew(lease, lease_s=10)
    await fake_clock.advance(9.9)
    assert await store.objects.reap(limit=9) == []
    await fake_clock.advance(0.1)
    assert await store.objects.reap(limit=9) == [lease.object.id]
    stored = (await store_object(store, None, CONTENT)).object
    await store.objects.delete(stored.tenant_id, stored.id)
    await fake_clock.advance(99.9)
    assert await claim(store, grace_s=100) == []
    await fake_clock.advance(0.1)
    assert len(await claim(store, grace_s=100)) == 1
    await fake_clock.advance(59.9)
    assert await claim(store) == []
    await fake_clock.advance(0.1)
    assert len(await claim(store)) == 1


async def test_zero_since_is_the_last_time(
    store: MemoryMetadataStore, fake_clock: FakeClock
) -> None:
    """A blob that was used again starts its grace anew."""
    for _ in range(2):
        stored = (await store_object(store, None, CONTENT)).object
        await fake_clock.advance(5)
        await store.objects.delete(stored.tenant_id, stored.id)
        assert store.rows.blobs[KEY].zero_since == fake_clock.now()
        await fake_clock.advance(5)


@pytest.mark.parametrize("recorded", [0, 1, 5])
@pytest.mark.parametrize("repair", [False, True])
async def test_drift_is_found_and_repaired(
    store: MemoryMetadataStore, recorded: int, repair: bool
) -> None:
    """The count is compared with the objects, and set to what is true only when asked (I3)."""
    for _ in range(2):
        await store_object(store, None, CONTENT)
    store.rows.blobs[KEY] = replace(store.rows.blobs[KEY], ref_count=recorded)
    drift = [CountDrift(KEY, recorded, 2)]
    assert await store.blobs.recount([KEY], repair=repair) == drift
    assert await store.blobs.recount([KEY], repair=False) == ([] if repair else drift)
    if repair:
        assert await audit_metadata(store) == []


async def test_repairing_to_zero_starts_the_grace(
    store: MemoryMetadataStore, fake_clock: FakeClock
) -> None:
    """A blob that nobody holds becomes garbage from now on."""
    stored = (await store_object(store, None, CONTENT)).object
    await store.objects.delete(stored.tenant_id, stored.id)
    store.rows.blobs[KEY] = replace(store.rows.blobs[KEY], ref_count=1, zero_since=None)
    await fake_clock.advance(7)
    await store.blobs.recount([KEY], repair=True)
    assert store.rows.blobs[KEY].zero_since == fake_clock.now()


async def test_drift_does_not_cost_a_blob(store: MemoryMetadataStore) -> None:
    """A count of 0 with a holder is claimed, and then not removed (R04)."""
    stored = (await store_object(store, None, CONTENT)).object
    store.rows.blobs[KEY] = replace(store.rows.blobs[KEY], ref_count=0, zero_since=store.rows.now())
    assert len(await claim(store)) == 1
    removal = await store.blobs.remove([KEY], move_all)
    assert removal == Removal([], [KEY], [])
    assert store.rows.blobs[KEY].claimed_until is None
    found = await store.objects.find(stored.tenant_id, stored.id)
    assert found is not None and found.locator == stored.locator


async def test_a_claim_made_during_a_move_is_not_dropped(
    store: MemoryMetadataStore, fake_clock: FakeClock
) -> None:
    """A row that one collector finds taken back may be garbage, and claimed, again by then."""
    other = make_content("y")
    for content in (CONTENT, other):
        stored = (await store_object(store, None, content)).object
        await store.objects.delete(stored.tenant_id, stored.id)
    keys = [blob.key for blob in await claim(store)]
    back = (await store_object(store, None, CONTENT)).object

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        assert [blob.key.content_hash for blob in blobs] == [other.content_hash]
        await store.objects.delete(back.tenant_id, back.id)
        await fake_clock.advance(1)
        assert [blob.key for blob in await claim(store)] == [KEY]
        return [blob.key for blob in blobs]

    removal = await store.blobs.remove(keys, move)
    assert removal.taken_back == [KEY]
    assert store.rows.blobs[KEY].claimed_until is not None
    assert len((await store.blobs.remove([KEY], move_all)).removed) == 1


async def test_who_touches_a_moving_row_waits(store: MemoryMetadataStore) -> None:
    """Another removal, an adoption and a recount wait; a claim goes around it."""
    stored = (await store_object(store, None, CONTENT)).object
    await store.objects.delete(stored.tenant_id, stored.id)
    await store.blobs.claim(grace_s=0, claim_s=0, limit=9, agree=lambda blob, now: True)
    inside, leave = anyio.Event(), anyio.Event()
    done: list[object] = []

    async def move(blobs: Sequence[Blob]) -> Collection[BlobKey]:
        inside.set()
        await leave.wait()
        return [blob.key for blob in blobs]

    async def remove() -> None:
        done.append(await store.blobs.remove([KEY], move_all))

    async def adopt() -> None:
        done.append(await store.blobs.adopt(KEY, size_bytes=1, locator="placed"))

    async def recount() -> None:
        done.append(await store.blobs.recount([KEY], repair=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.blobs.remove, [KEY], move)
        await inside.wait()
        for call in (remove, recount, adopt):
            tasks.start_soon(call)
        assert await claim(store) == []
        for _ in range(10):
            await store.ping()
        assert done == []
        leave.set()
    assert done == [Removal([], [], []), [], True]


async def test_burying_skips_what_is_unknown(store: MemoryMetadataStore) -> None:
    """An upload that ended without content takes part in no removal."""
    lease = await store.objects.begin(make_intent(), lease_s=60)
    await store.objects.abort(lease)
    stored = (await store_object(store, None, CONTENT)).object
    await store.objects.delete(stored.tenant_id, stored.id)
    await claim(store)
    await store.blobs.remove([KEY], move_all)
    statuses = {row.object.status for row in store.rows.objects.values()}
    assert statuses == {ObjectStatus.DELETED}
    assert store.rows.objects[lease.object.id].blob_key is None
