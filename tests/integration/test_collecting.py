"""The collector on real files, on every metadata store: who decides, what is passed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import (
    Locator,
    Namespace,
    NewObject,
    ObjectId,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.errors import JustStorageError, Unavailable
from juststorage.plugins.builtin import MIN_FREE, MinFreeOptions
from juststorage.ports import BlobStore, GCPolicy, Space, UploadIntent
from juststorage.runtime import Runtime, UseCases, open_runtime
from juststorage.testing import open_backend
from juststorage.testing.faults import WrappedBlobStore
from juststorage.usecases import CollectGarbage, CollectionLimits
from juststorage_postgres.testing import *  # noqa: F403

TENANT, NAMESPACE = TenantId("t"), Namespace("n")
HOT, COLD = StorageClass.HOT, StorageClass.COLD
ZERO = CollectionLimits(
    grace_s=0,
    claim_s=0,
    trash_retention_s=0,
    staging_grace_s=0,
    tombstone_retention_s=0,
    batch_size=4,
)
"""No time to rest on."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A service on files."""
    metadata: dict[str, Any] = {"backend": request.param}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        metadata["postgres"] = {"url": url, "connect_wait_s": 0}
    config = {
        "data_dir": str(tmp_path),
        "metadata": metadata,
        "blobs": {name: {"backend": "localfs"} for name in ("hot", "cold")},
        "auth": {"chain": []},
    }
    async with open_runtime(config) as opened:
        yield opened


class Volume(WrappedBlobStore):
    """A store on a volume of a size that the test says, with locators that cannot be moved."""

    def __init__(self, inner: BlobStore, *, free_bytes: int) -> None:
        super().__init__(inner)
        self.free_bytes = free_bytes
        self.stuck: set[Locator] = set()

    async def space(self) -> Space | None:
        return Space(total_bytes=10_000, free_bytes=self.free_bytes)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        stuck = {each: Unavailable("an input/output error") for each in self.stuck & {*locators}}
        return stuck | dict(await super().remove([each for each in locators if each not in stuck]))


async def garbage(runtime: Runtime, *contents: bytes, into: StorageClass) -> list[StoredObject]:
    """Bytes that nobody refers to any more, the oldest first."""
    cases = await UseCases.of(runtime)
    made: list[StoredObject] = []
    for content in contents:
        new = NewObject(
            id=ObjectId.new(), namespace=NAMESPACE, tenant_id=TENANT, storage_class=into
        )
        made.append((await cases.upload.whole(UploadIntent(new=new), content)).object)
        await runtime.metadata.objects.delete(TENANT, new.id)
    return made


async def left(store: BlobStore) -> set[Locator]:
    """The locators of all placed blobs."""
    return {placed.locator for placed in await store.scan(after=None, limit=1000)}


def collector(
    runtime: Runtime,
    stores: Mapping[StorageClass, BlobStore],
    policy: GCPolicy,
    limits: CollectionLimits = ZERO,
) -> CollectGarbage:
    """A collector of a process of its own."""
    return CollectGarbage(runtime.metadata, stores, policy, clock=runtime.clock, limits=limits)


async def test_only_what_room_needs_goes_oldest_first(runtime: Runtime) -> None:
    """`min_free` keeps all garbage while there is room, then takes the oldest until there is."""
    made = await garbage(runtime, *(b"%0100d" % number for number in range(10)), into=HOT)
    volume = Volume(runtime.blobs[HOT], free_bytes=5_000)
    options = MinFreeOptions(free_bytes=5_000, free_percent=0)
    async with open_backend(MIN_FREE, options) as policy:
        collect = collector(runtime, {HOT: volume}, policy)
        assert (await collect.run()).removed == 0
        volume.free_bytes = 4_750
        assert (await collect.run(dry_run=True)).bytes_removed == 300
        report = await collect.run()
        assert (report.removed, report.bytes_removed, report.purged) == (3, 300, 3)
        assert await left(volume) == {each.locator for each in made[3:]}
        volume.free_bytes = 0
        assert (await collect.run()).removed == 7


async def test_a_roomy_volume_hides_no_full_one(runtime: Runtime) -> None:
    """Garbage that is kept on one volume, however old and much, does not stop the other's."""
    await garbage(runtime, *(b"cold %d" % number for number in range(50)), into=COLD)
    await garbage(runtime, b"hot 1", b"hot 2", into=HOT)
    stores = {
        HOT: Volume(runtime.blobs[HOT], free_bytes=0),
        COLD: Volume(runtime.blobs[COLD], free_bytes=10_000),
    }
    async with open_backend(MIN_FREE, MinFreeOptions()) as policy:
        report = await collector(runtime, stores, policy).run()
    assert (report.removed, report.errors, report.more) == (2, 0, False)
    assert len(await left(runtime.blobs[COLD])) == 50


async def test_one_bad_blob_stalls_nothing(runtime: Runtime) -> None:
    """Bytes that cannot be moved cost a count, and are tried again; all others are gone."""
    made = await garbage(runtime, *(b"%d" % number for number in range(10)), into=HOT)
    volume = Volume(runtime.blobs[HOT], free_bytes=0)
    bad = made[1].locator
    assert bad is not None
    volume.stuck = {bad}
    collect = collector(runtime, {HOT: volume}, runtime.gc_policy)
    for removed in (9, 0):
        report = await collect.run()
        assert (report.removed, report.errors) == (removed, 1)
        assert await left(volume) == {bad}
    volume.stuck.clear()
    assert (await collect.run()).removed == 1
    assert await left(volume) == set()


async def test_any_number_of_collectors(runtime: Runtime) -> None:
    """They share the garbage and remove each blob once, with every time at 0."""
    made = await garbage(runtime, *(b"%d" % number for number in range(60)), into=HOT)
    removed: list[int] = []

    async def run() -> None:
        report = await collector(runtime, runtime.blobs, runtime.gc_policy).run()
        assert report.errors == 0
        removed.append(report.removed)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(run)
    assert sum(removed) == len(made)
    assert await left(runtime.blobs[HOT]) == set()
    assert await runtime.blobs[HOT].trash(older_than_s=0, limit=9) == []
