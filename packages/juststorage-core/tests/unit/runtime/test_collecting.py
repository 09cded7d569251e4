"""The collector in the background of a service."""

from __future__ import annotations

from typing import Any, ClassVar

import anyio
import pytest

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


async def test_a_run_that_overshoots_is_not_restarted_on_top_of_itself() -> None:
    """The interval counts from the end of a run, however many of them the run took."""
    clock = FakeClock()
    running, ended = 0, 0

    class Slow:
        async def run(self) -> CollectionReport:
            nonlocal running, ended
            assert running == 0, "two runs at once"
            running += 1
            await clock.sleep(1000)
            running -= 1
            ended += 1
            return CollectionReport(dry_run=False, started_at=clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: collect_forever(Slow(), clock, 60, jitter_ratio=0))  # type: ignore[arg-type]
        with anyio.fail_after(10):
            while ended < 2:
                await clock.advance(20)
        assert clock.monotonic() >= 2 * 1000 + 60
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("jitter_ratio", "least", "most"), [(0.0, 60, 60), (1.0, 0, 120)])
async def test_the_pause_varies_by_its_option(
    jitter_ratio: float, least: float, most: float
) -> None:
    """By nothing, or by as much as the interval itself."""

    class Recording(FakeClock):
        pauses: ClassVar[list[float]] = []

        async def sleep(self, seconds: float) -> None:
            self.pauses.append(seconds)
            if len(self.pauses) == 50:
                raise KeyError("enough")

    class Idle:
        async def run(self) -> CollectionReport:
            return CollectionReport(dry_run=False, started_at=clock.now())

    clock = Recording()
    with pytest.raises(KeyError):
        await collect_forever(Idle(), clock, 60, jitter_ratio=jitter_ratio)  # type: ignore[arg-type]
    assert all(least <= pause <= most for pause in clock.pauses)
    assert (len(set(clock.pauses)) == 1) is (jitter_ratio == 0)
