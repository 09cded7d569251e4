"""Background work: contained, counted, started again, given up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from juststorage.runtime import Runtime, open_runtime
from juststorage.runtime import _opening as opening
from juststorage.runtime._background import CRASHES_MAX, HEALTHY_S
from juststorage.testing import FakeClock

Job = Callable[[], Awaitable[None]]
PART = "blobs.hot/job 0"


class Work:
    """A job that does at each start what the test says next."""

    def __init__(self) -> None:
        self.starts = 0
        self.cancelled = False
        self.send, self.receive = anyio.create_memory_object_stream[Exception | None](10)
        self.waiting = anyio.Event()

    async def run(self) -> None:
        self.starts += 1
        try:
            self.waiting.set()
            order = await self.receive.receive()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        if order is not None:
            raise order

    async def next(self, order: Exception | None) -> None:
        """Let it crash or end, once it runs."""
        await self.waiting.wait()
        self.waiting = anyio.Event()
        await self.send.send(order)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def work() -> Any:
    """A job, closed afterwards."""
    made = Work()
    yield made
    made.send.close()
    made.receive.close()


@asynccontextmanager
async def running(
    story: Any, config: dict[str, Any], *jobs: Job, **how: Any
) -> AsyncIterator[tuple[Runtime, FakeClock]]:
    """A runtime whose hot store has these jobs."""
    clock = FakeClock()
    story.jobs["blobs.hot"] = list(jobs)
    async with open_runtime(config, plugins=[story], discover=False, clock=clock, **how) as runtime:
        yield runtime, clock


async def trouble(runtime: Runtime, name: str = PART) -> str | None:
    """What readiness says about the job."""
    (part,) = [part for part in await runtime.readiness() if part.name == name]
    assert part.ok == (part.detail is None)
    assert part.latency_ms is None
    return part.detail


async def test_crash_is_contained_counted_and_started_again(
    story: Any, config: dict[str, Any], work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash fails readiness, and nothing else; the work starts again after a pause."""
    async with running(story, config, work.run) as (runtime, clock):
        assert await trouble(runtime) is None
        await work.next(OSError("/secret/disk"))
        assert await trouble(runtime) == "crashed, 1 times since the start"
        assert work.starts == 1
        await clock.advance(1.0)
        await work.waiting.wait()
        assert work.starts == 2
        assert await trouble(runtime) == "crashed, 1 times since the start"
        await clock.advance(HEALTHY_S)
        assert await trouble(runtime) is None
    (record,) = [each for each in caplog.records if each.message == "background work crashed"]
    assert vars(record)["instance"] == "blobs.hot"
    assert vars(record)["crashes"] == 1
    assert record.exc_info is not None
    assert "/secret/disk" in str(record.exc_info[1])


async def test_pauses_grow_and_end_in_giving_up(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """Each pause is twice the one before; after five crashes in a row the process is told."""
    fatal: list[str] = []
    async with running(story, config, work.run, on_fatal=fatal.append) as (runtime, clock):
        pause_s = 1.0
        for _ in range(CRASHES_MAX - 1):
            await work.next(OSError("no"))
            starts = work.starts
            await clock.advance(pause_s * 0.99)
            assert work.starts == starts
            await clock.advance(pause_s * 0.02)
            await work.waiting.wait()
            pause_s *= 2
        assert fatal == []
        await work.next(OSError("no"))
        assert fatal == ["blobs.hot: background work 'job 0': given up after 5 crashes in a row"]
        assert await trouble(runtime) == "given up after 5 crashes in a row"
        assert clock.sleepers == 0


async def test_giving_up_without_anyone_to_tell_is_logged(
    story: Any, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """An application that passes no `on_fatal` still finds it in the log and in readiness."""

    async def crash() -> None:
        raise OSError("no")

    async with running(story, config, crash) as (runtime, clock):
        await clock.advance(100)
        assert await trouble(runtime) == "given up after 5 crashes in a row"
    reason = "blobs.hot: background work 'job 0': given up after 5 crashes in a row"
    assert reason in caplog.messages


async def test_long_run_ends_the_row_of_crashes(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """Work that crashes now and then, and works between, is never given up."""
    fatal: list[str] = []
    async with running(story, config, work.run, on_fatal=fatal.append) as (runtime, clock):
        for crash in range(2 * CRASHES_MAX):
            await work.waiting.wait()
            await clock.advance(HEALTHY_S)
            await work.next(OSError("no"))
            assert await trouble(runtime) == f"crashed, {crash + 1} times since the start"
            await clock.advance(1.0)
        assert fatal == []


async def test_work_that_returns_is_over_and_well(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """Returning ends the work and is no trouble, even after a crash."""
    async with running(story, config, work.run) as (runtime, clock):
        await work.next(OSError("no"))
        await clock.advance(1.0)
        await work.next(None)
        assert await trouble(runtime) is None
        await clock.advance(1000)
        assert work.starts == 2


async def test_work_is_cancelled_before_its_service_closes(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """A service's background work is over when the service starts to close."""
    seen: list[bool] = []

    async def closing() -> None:
        seen.append(work.cancelled)

    story.closing["blobs.hot"] = closing
    async with running(story, config, work.run):
        await work.waiting.wait()
    assert seen == [True]


async def test_work_starts_when_its_service_is_open(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """Work that is asked for while the service opens does not start before that is done."""

    async def opening_() -> None:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert work.starts == 0

    story.opening["blobs.hot"] = opening_
    async with running(story, config, work.run):
        await work.waiting.wait()


async def test_failed_opening_starts_no_work(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """A service that did not open leaves no work behind."""

    async def fail() -> None:
        raise OSError("no")

    story.opening["blobs.hot"] = fail
    with pytest.raises(Exception, match="could not be opened"):
        async with running(story, config, work.run):
            pass
    assert work.starts == 0


async def test_work_can_be_asked_for_later_and_not_too_late(
    story: Any, config: dict[str, Any], work: Work
) -> None:
    """An open service may ask for more work; one that closes gets none."""
    late: list[str] = []

    async def too_late() -> None:
        late.append("started")

    async def closing() -> None:
        story.contexts["blobs.hot"].background("too late", too_late)

    story.closing["blobs.hot"] = closing
    async with running(story, config) as (runtime, _):
        story.contexts["blobs.hot"].background("later", work.run)
        await work.waiting.wait()
        assert await trouble(runtime, "blobs.hot/later") is None
    assert work.cancelled
    assert late == []


class Deaf:
    """Work that ignores its cancellation until it is let go."""

    def __init__(self) -> None:
        self.started = anyio.Event()
        self._release = anyio.Event()

    async def run(self, *_: object, **__: object) -> None:
        """Wait, whatever happens."""
        with anyio.CancelScope(shield=True):
            self.started.set()
            await self._release.wait()

    async def let_go(self) -> None:
        """As what it waits for closes."""
        self._release.set()


async def test_work_that_ignores_its_cancellation_does_not_stop_the_closing(
    story: Any,
    config: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service closes all the same, and the log names the culprit."""
    monkeypatch.setattr(opening, "CLOSE_TIMEOUT_S", 0.01)
    deaf = Deaf()
    story.closing["blobs.hot"] = deaf.let_go
    async with running(story, config, deaf.run):
        await deaf.started.wait()
    assert "blobs.hot: background work ignores its cancellation" in caplog.messages
    assert "close metadata" in story.events


async def test_a_collector_that_no_backend_answers_does_not_stop_the_closing(
    story: Any,
    config: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Core's own work has no longer than that of a backend: the stores close, and its call ends."""
    monkeypatch.setattr(opening, "CLOSE_TIMEOUT_S", 0.01)
    deaf = Deaf()
    monkeypatch.setattr(opening, "collect_forever", deaf.run)
    story.closing["blobs.hot"] = deaf.let_go
    async with open_runtime(config, plugins=[story], discover=False, collect=True):
        await deaf.started.wait()
    assert "collector: background work ignores its cancellation" in caplog.messages
    assert "close metadata" in story.events
