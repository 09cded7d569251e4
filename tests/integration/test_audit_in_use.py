"""The auditor beside a service in use: no false alarm, on every metadata store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import Namespace, NewObject, ObjectId, ObjectKey, StorageClass, TenantId
from juststorage.errors import NotFound
from juststorage.ports import UploadIntent
from juststorage.runtime import Runtime, UseCases, make_auditor, open_runtime
from juststorage.usecases import Finding
from juststorage_postgres.testing import *  # noqa: F403

TENANT, NAMESPACE = TenantId("t"), Namespace("n")
ROUNDS = 3
"""Whole audits of each kind that have to pass beside the work, at least."""

TURNS_MIN, TURNS_MAX = 150, 1500
"""Uploads beside them. An audit walks to the newest object, so endless ones in memory, which come
faster than it walks where the disk is slow, would never let it end."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A service with hardly any grace, so that everything is collected at once."""
    metadata: dict[str, Any] = {"backend": request.param}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        metadata["postgres"] = {"url": url, "connect_wait_s": 0}
    config = {
        "data_dir": str(tmp_path),
        "metadata": metadata,
        "blobs": {name: {"backend": "localfs"} for name in ("hot", "cold")},
        "auth": {"chain": []},
        "gc": {
            "grace_s": 0,
            "trash_retention_s": 0,
            "tombstone_retention_s": 0,
            "staging_grace_s": 30,
            "batch_size": 3,
        },
    }
    async with open_runtime(config) as opened:
        yield opened


class Work:
    """Clients that upload few contents again and again, replace, read and delete."""

    def __init__(self, cases: UseCases) -> None:
        self.cases = cases
        self.turns = 0
        self.over = False

    async def client(self, number: int) -> None:
        """Until the audits have seen enough."""
        while not self.over and self.turns < TURNS_MAX:
            self.turns += 1
            turn = self.turns
            content = b"content %d" % (turn % 5)
            new = NewObject(
                id=ObjectId.new(),
                namespace=NAMESPACE,
                tenant_id=TENANT,
                key=ObjectKey(f"k{turn % 3}") if turn % 2 else None,
                storage_class=StorageClass.COLD if turn % 7 == 0 else StorageClass.HOT,
            )
            intent = UploadIntent(new=new, replace=new.key is not None)
            if number % 2:
                committed = await self.cases.upload.stream(intent, self._body(content))
            else:
                committed = await self.cases.upload.whole(intent, content)
            with anyio.move_on_after(0 if turn % 11 == 0 else None):
                await self._read_and_delete(committed.object.id, content)

    async def _read_and_delete(self, object_id: ObjectId, content: bytes) -> None:
        try:
            stored = await self.cases.find.by_id(TENANT, object_id)
            async with await self.cases.download.open(stored) as reader:
                got = [part async for part in reader.chunks(0, reader.size_bytes)]
            assert b"".join(got) == content
            await self.cases.delete.by_id(TENANT, object_id)
        except NotFound:
            return  # replaced meanwhile

    @staticmethod
    async def _body(content: bytes) -> AsyncIterator[bytes]:
        yield content[:3]
        await anyio.lowlevel.checkpoint()
        yield content[3:]

    async def collector(self) -> None:
        """One run after the other."""
        while not self.over:
            report = await self.cases.collect.run()
            assert report.errors == 0, report


async def test_a_store_in_use_raises_no_alarm(runtime: Runtime) -> None:
    """Uploads, replacements, deletes and two collectors beside audits never look like damage."""
    work = Work(await UseCases.of(runtime))
    other = Work(await UseCases.of(runtime))
    found: list[Finding] = []
    rounds = 0
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(work.client, number)
            tasks.start_soon(work.collector)
            tasks.start_soon(other.collector)
            while rounds < ROUNDS or work.turns < TURNS_MIN:
                rounds += 1
                for how in ({}, {"deep": True}, {"deep": True, "repair": True}):
                    auditor = make_auditor(runtime, **how)  # type: ignore[arg-type]
                    found += [each async for each in auditor.findings()]
            work.over = other.over = True
    assert found == []
    assert work.turns >= TURNS_MIN
