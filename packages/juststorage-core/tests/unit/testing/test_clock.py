"""The fake clock, which other tests trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from juststorage.testing import FakeClock, SystemClock

pytest_plugins = ["juststorage.testing.fixtures"]


async def test_time_stands_still(fake_clock: FakeClock) -> None:
    """Until it is advanced; both times then move together."""
    start = fake_clock.now()
    assert (fake_clock.now(), fake_clock.monotonic()) == (start, 0)
    await fake_clock.advance(1.5)
    assert fake_clock.now() - start == timedelta(seconds=1.5)
    assert fake_clock.monotonic() == 1.5
    assert FakeClock(datetime(2030, 1, 1, tzinfo=UTC)).now().year == 2030


async def test_sleepers_wake_in_their_order(fake_clock: FakeClock) -> None:
    """Each at its own time, although one step passes them all."""
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await fake_clock.sleep(seconds)
        woken.append((seconds, fake_clock.monotonic()))

    async with anyio.create_task_group() as tasks:
        for seconds in (3, 1, 2, 10):
            tasks.start_soon(sleep, seconds)
        await fake_clock.advance(0)
        assert (woken, fake_clock.sleepers) == ([], 4)
        await fake_clock.advance(0.5)
        assert woken == []
        await fake_clock.advance(4)
        assert woken == [(1, 1), (2, 2), (3, 3)]
        assert fake_clock.sleepers == 1
        await fake_clock.advance(5.5)
    assert woken[-1] == (10, 10)


async def test_a_loop_that_sleeps_runs_as_often_as_in_life(fake_clock: FakeClock) -> None:
    """A sleeper that sleeps again is woken again within one step."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            await fake_clock.sleep(10)
            beats.append(fake_clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        await fake_clock.advance(0)
        await fake_clock.advance(35)
        tasks.cancel_scope.cancel()
    assert beats == [10, 20, 30]


async def test_a_cancelled_sleeper_is_forgotten(fake_clock: FakeClock) -> None:
    """Nothing is left to wake."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fake_clock.sleep, 10)
        tasks.start_soon(fake_clock.sleep, 20)
        await fake_clock.advance(0)
        assert fake_clock.sleepers == 2
        tasks.cancel_scope.cancel()
    assert fake_clock.sleepers == 0
    await fake_clock.advance(100)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_needs_no_advance(fake_clock: FakeClock, seconds: float) -> None:
    """Sleeping for nothing only gives others a turn."""
    await fake_clock.sleep(seconds)
    assert fake_clock.sleepers == 0


async def test_the_system_clock() -> None:
    """Aware, in UTC, and its sleep can be left at once."""
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.monotonic() <= clock.monotonic()
    await clock.sleep(0)
