"""The collector in the background of a service."""

from __future__ import annotations

from typing import Any

import anyio

from juststorage.domain import Namespace, NewObject, ObjectId, TenantId
from juststorage.errors import Unavailable
from juststorage.ports import UploadIntent
from juststorage.runtime import UseCases, open_runtime
from juststorage.runtime._collecting import collect_forever
from juststorage.testing import FakeClock
from juststorage.usecases import CollectionReport

MEMORY = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": []},
    "gc": {"interval_s": 60, "grace_s": 0},
}


async def test_garbage_goes_by_itself() -> None:
    """A service that collects needs nobody to ask for it."""
    clock = FakeClock()
    async with open_runtime(MEMORY, discover=False, clock=clock, collect=True) as runtime:
        cases = await UseCases.of(runtime)
        new = NewObject(id=ObjectId.new(), namespace=Namespace("n"), tenant_id=TenantId("t"))
        done = await cases.upload.whole(UploadIntent(new=new), b"abc")
        await cases.delete.by_id(TenantId("t"), done.object.id)
        await clock.advance(120)
        [store] = runtime.blobs.values()
        with anyio.fail_after(10):
            while await store.scan(after=None, limit=1):
                await clock.advance(60)
        assert {part.name: part.ok for part in await runtime.readiness()}[
            "collector/collect garbage"
        ]


async def test_without_being_told_nothing_is_collected() -> None:
    """An application's test that opens a runtime has no background work of core's."""
    async with open_runtime(MEMORY, discover=False) as runtime:
        assert "collector" not in runtime.supervisors


class _Collector:
    """Answers with a list of outcomes, one a run."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.runs = 0

    async def run(self) -> CollectionReport:
        self.runs += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_limited_run_is_followed_at_once_and_an_error_by_the_next() -> None:
    """Only a run that got to the end of the garbage is followed by a pause."""
    clock = FakeClock()
    report = CollectionReport(dry_run=False, started_at=clock.now(), removed=1)
    more = CollectionReport(dry_run=False, started_at=clock.now(), more=True)
    collector = _Collector(more, report, Unavailable("away"), KeyError("a bug"))
    bugs: list[BaseException] = []

    async def supervised() -> None:
        try:
            await collect_forever(collector, clock, 60)  # type: ignore[arg-type]
        except KeyError as bug:
            bugs.append(bug)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervised)
            while collector.runs < 2:
                await anyio.lowlevel.checkpoint()
            assert clock.monotonic() == 0
            await clock.advance(70)
            assert collector.runs == 3
            await clock.advance(70)
    assert collector.runs == 4
    assert len(bugs) == 1
