"""Backups of a service that is written to, deleted from and collected all the time."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from juststorage.domain import Namespace, NewObject, ObjectId, ObjectKey, TenantId
from juststorage.errors import NotFound
from juststorage.ports import UploadIntent
from juststorage.runtime import Runtime, UseCases, make_backup, open_backup_place
from juststorage.runtime import make_verification as make_verify
from juststorage.usecases import CollectGarbage, CollectionLimits

ACME, DOCS = TenantId("acme"), Namespace("docs")
AT_ONCE = CollectionLimits(
    grace_s=0, claim_s=1, trash_retention_s=0, staging_grace_s=3600, tombstone_retention_s=0
)
"""No grace and no trash: the hold is all that there is."""

ENOUGH_S = 120
"""For a machine that has much else to do."""


class Load:
    """Uploads and deletions of contents that come back."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases
        self.uploads = self.deletions = 0
        self.has_collected = anyio.Event()

    async def run(self, seed: int) -> None:
        chance = random.Random(seed)
        while True:
            number = chance.randrange(60)
            key = ObjectKey(f"{seed}/{number}")
            if chance.random() < 0.5:
                new = NewObject(id=ObjectId.new(), namespace=DOCS, tenant_id=ACME, key=key)
                data = bytes([number]) * (200 + number * 400)
                await self._cases.upload.whole(UploadIntent(new=new, replace=True), data)
                self.uploads += 1
            else:
                with suppress(NotFound):
                    await self._cases.delete.by_key(ACME, DOCS, key)
                    self.deletions += 1
            await anyio.lowlevel.checkpoint()

    async def collect(self, runtime: Runtime) -> None:
        collector = CollectGarbage(
            runtime.metadata,
            runtime.blobs,
            runtime.gc_policy,
            clock=runtime.clock,
            limits=AT_ONCE,
        )
        while True:
            if (await collector.run()).removed:
                self.has_collected.set()
            await anyio.sleep(0.005)


class Unwatched:
    """A watcher that does not look."""

    def expects(self, size_bytes: int) -> None: ...

    def moved(self, size_bytes: int) -> None: ...


@pytest.mark.parametrize("metadata", ["sqlite", "postgres"])
async def test_backups_under_load(deploy: Any, backups: Path, metadata: str) -> None:
    """Every one of them has every byte that its state names."""
    deployment = deploy("first", metadata)
    async with deployment.opened() as runtime, anyio.create_task_group() as tasks:
        load = Load(await UseCases.of(runtime))
        for seed in range(4):
            tasks.start_soon(load.run, seed)
        tasks.start_soon(load.collect, runtime)
        taken = missing = damaged = 0
        with anyio.fail_after(ENOUGH_S):
            while not (taken >= 3 and load.uploads > 50 and load.deletions > 50):
                async with open_backup_place(runtime.config, backups, create=True) as place:
                    with anyio.CancelScope(shield=True):
                        report = await make_backup(runtime, place, Unwatched(), jobs=2).run()
                        taken += 1
                        missing += report.missing_count
                        verify = make_verify(place, Unwatched(), jobs=2, quick=False, discard=False)
                        manifest = await place.target.manifest(report.id)
                        damaged += len([each async for each in verify.run(manifest)])
                        # The next one has to copy everything anew.
                        hashes = [each async for each in _contents(place)]
                        await place.target.contents.remove(hashes)
                await anyio.lowlevel.checkpoint()
        # Between two backups garbage goes.
        with anyio.fail_after(20):
            await load.has_collected.wait()
        tasks.cancel_scope.cancel()
    assert (missing, damaged) == (0, 0)


async def _contents(place: Any) -> Any:
    for placed in await place.target.contents.scan(after=None, limit=1000):
        yield placed.locator
