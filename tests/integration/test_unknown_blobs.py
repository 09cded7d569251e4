"""A database that does not belong to the stores: nothing of theirs is taken, until it is confirmed.

On every metadata store, beside files, memory and generations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import Namespace, NewObject, ObjectId, StorageClass, TenantId
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.ports import BlobStore, UploadIntent
from juststorage.runtime import Runtime, UseCases, make_auditor, make_collector, open_runtime
from juststorage.testing import open_backend
from juststorage.usecases import CollectGarbage, CollectionLimits
from juststorage_postgres.testing import *  # noqa: F403
from tests.races.generations import Bucket, GenerationsPlugin

HOT = StorageClass.HOT
MANY = 150
ZERO = CollectionLimits(
    grace_s=0, claim_s=0, trash_retention_s=0, staging_grace_s=0, tombstone_retention_s=0
)
"""No time to rest on."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def metadata(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The section of a database that has never been used."""
    section: dict[str, Any] = {"backend": request.param}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        section["postgres"] = {"url": url, "connect_wait_s": 0}
    return section


@pytest.fixture
async def runtime(metadata: dict[str, Any], tmp_path: Path) -> AsyncIterator[Runtime]:
    """A service of that database on files."""
    config = {
        "data_dir": str(tmp_path),
        "metadata": metadata,
        "blobs": {"hot": {"backend": "localfs"}},
        "auth": {"chain": []},
    }
    async with open_runtime(config) as opened:
        yield opened


@pytest.fixture(params=["localfs", "memory", "generations"])
async def store(request: pytest.FixtureRequest, runtime: Runtime) -> AsyncIterator[BlobStore]:
    """A blob store, full of what another database knows."""
    if request.param == "localfs":
        await fill(runtime, runtime.blobs[HOT])
        yield runtime.blobs[HOT]
        return
    generations = GenerationsPlugin({"hot": Bucket(), "cold": Bucket()}).backend
    backend = MEMORY_BLOBS if request.param == "memory" else generations
    async with open_backend(backend, storage_class=HOT) as opened:
        await fill(runtime, opened)
        yield opened


async def fill(runtime: Runtime, store: BlobStore) -> None:
    """Place what no row of this database names."""
    for number in range(MANY):
        data = b"%d" % number
        await store.put(ObjectId.new(), runtime.hasher.hash(data), data)


async def left(store: BlobStore) -> int:
    """How many blobs are placed."""
    return len(await store.scan(after=None, limit=10_000))


def collector(runtime: Runtime, store: BlobStore) -> CollectGarbage:
    """A collector of a process that was just started."""
    return CollectGarbage(
        runtime.metadata, {HOT: store}, runtime.gc_policy, clock=runtime.clock, limits=ZERO
    )


async def test_nothing_is_taken_before_it_is_confirmed(runtime: Runtime, store: BlobStore) -> None:
    """By no number of runs and restarts; afterwards it goes, but for what has a row."""
    for _ in range(2):
        collect = collector(runtime, store)
        for _ in range(3):
            report = await collect.run()
            assert (report.unknown, report.adopted, report.swept) == (MANY, 0, 0)
            assert (report.removed, report.purged, report.errors) == (0, 0, 0)
    assert await left(store) == MANY
    report = await collect.run(adopt_unknown=True)
    assert report.unknown == 0
    assert report.adopted + report.swept == MANY
    report = await collect.run()
    assert (report.unknown, report.errors) == (0, 0)
    assert await left(store) == 0


async def test_an_audit_adopts_none_of_too_many(runtime: Runtime) -> None:
    """`fsck --repair` is what somebody runs who finds all objects gone: it says what it may be."""
    store = runtime.blobs[HOT]
    await fill(runtime, store)
    found = [each async for each in make_auditor(runtime, repair=True).findings()]
    assert len(found) == MANY
    assert {(each.invariant, each.repaired) for each in found} == {("I4", False)}
    assert "juststorage gc run --adopt-unknown" in found[0].detail
    assert (await collector(runtime, store).run()).unknown == MANY


async def test_what_the_database_knows_is_collected_as_ever(runtime: Runtime) -> None:
    """Garbage goes beside a mass that stays, and what is in use stays as well."""
    store = runtime.blobs[HOT]
    await fill(runtime, store)
    cases = await UseCases.of(runtime)
    kept, gone = await uploaded(cases, b"kept"), await uploaded(cases, b"gone")
    await runtime.metadata.objects.delete(TenantId("t"), gone)
    report = await collector(runtime, store).run()
    assert (report.removed, report.unknown) == (1, MANY)
    assert await left(store) == MANY + 1
    assert await runtime.metadata.objects.find(TenantId("t"), kept) is not None


async def uploaded(cases: UseCases, data: bytes) -> ObjectId:
    """An object of these bytes."""
    new = NewObject(
        id=ObjectId.new(), namespace=Namespace("n"), tenant_id=TenantId("t"), storage_class=HOT
    )
    return (await cases.upload.whole(UploadIntent(new=new), data)).object.id


async def test_readiness_says_so(runtime: Runtime) -> None:
    """It is degraded while much is left alone, and whole after a run that leaves nothing."""
    await fill(runtime, runtime.blobs[HOT])
    assert "collector" not in {part.name for part in await runtime.readiness()}
    await make_collector(runtime).run()
    [part] = [part for part in await runtime.readiness() if part.name == "collector"]
    assert (part.ok, part.degraded) == (True, True)
    assert "may be the wrong one" in str(part.detail)
    await make_collector(runtime).run(adopt_unknown=True)
    assert "collector" not in {part.name for part in await runtime.readiness()}


async def test_two_collectors_at_once_take_nothing(runtime: Runtime) -> None:
    """Each has a walk of its own."""
    store = runtime.blobs[HOT]
    await fill(runtime, store)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(collector(runtime, store).run)
    assert await left(store) == MANY
