"""Calls that requests share: fresh for everyone, whoever fails or leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from juststorage_api._data._shared import SharedCalls

pytestmark = pytest.mark.anyio


class Calls:
    """Answers in the test's own time; each answer is the number of its call."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.open: list[asyncio.Future[None]] = []

    async def __call__(self, key: str) -> int:
        self.began.append(key)
        number = len(self.began)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.open.append(gate)
        await gate
        return number

    def finish(self, number: int, error: Exception | None = None) -> None:
        gate = self.open[number - 1]
        gate.set_result(None) if error is None else gate.set_exception(error)


async def asking(answer: Coroutine[Any, Any, int]) -> asyncio.Task[int]:
    """Who asks and waits."""
    task = asyncio.create_task(answer)
    await settled()
    return task


async def settled() -> None:
    """Everybody has done what can be done."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def anyio_backend() -> str:
    """The one that the service runs on."""
    return "asyncio"


async def test_who_comes_during_a_call_is_answered_by_the_next() -> None:
    """All of them by one, and by none that began before they came."""
    calls = Calls()
    shared = SharedCalls(calls)
    first = await asking(shared.answer("a"))
    late = [await asking(shared.answer("a")) for _ in range(3)]
    calls.finish(1)
    assert await first == 1
    await settled()
    assert calls.began == ["a", "a"]
    latest = await asking(shared.answer("a"))
    calls.finish(2)
    assert [await each for each in late] == [2, 2, 2]
    await settled()
    calls.finish(3)
    assert await latest == 3


async def test_keys_do_not_wait_for_each_other() -> None:
    """Each has its own call."""
    calls = Calls()
    shared = SharedCalls(calls)
    first, second = await asking(shared.answer("a")), await asking(shared.answer("b"))
    assert calls.began == ["a", "b"]
    calls.finish(2)
    assert await second == 2
    calls.finish(1)
    assert await first == 1


async def test_nothing_is_kept_once_nobody_asks() -> None:
    """Neither answers nor keys."""
    calls = Calls()
    shared = SharedCalls(calls)
    asked = [await asking(shared.answer("a")) for _ in range(2)]
    calls.finish(1)
    await settled()
    calls.finish(2)
    await asyncio.gather(*asked)
    assert shared.waiting == 0


async def test_a_failure_is_told_to_all_that_waited_for_it_and_to_nobody_else() -> None:
    """Who came later has a call that works."""
    calls = Calls()
    shared = SharedCalls(calls)
    first = await asking(shared.answer("a"))
    waiting = [await asking(shared.answer("a")) for _ in range(2)]
    calls.finish(1)
    await settled()
    later = await asking(shared.answer("a"))
    calls.finish(2, ValueError("away"))
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [repr(each) for each in told] == ["ValueError('away')"] * 2
    await settled()
    calls.finish(3)
    assert (await first, await later) == (1, 3)


async def test_who_leaves_while_making_a_call_leaves_it_to_another() -> None:
    """What it began is begun again."""
    calls = Calls()
    shared = SharedCalls(calls)
    first = await asking(shared.answer("a"))
    second, third = [await asking(shared.answer("a")) for _ in range(2)]
    calls.finish(1)
    await settled()
    second.cancel()
    await settled()
    assert calls.began == ["a", "a", "a"]
    calls.finish(3)
    assert (await first, await third) == (1, 3)
    assert second.cancelled()


async def test_who_leaves_while_waiting_is_missed_by_nobody() -> None:
    """The others have their answer."""
    calls = Calls()
    shared = SharedCalls(calls)
    first = await asking(shared.answer("a"))
    second, third = [await asking(shared.answer("a")) for _ in range(2)]
    second.cancel()
    await settled()
    calls.finish(1)
    await settled()
    calls.finish(2)
    assert (await first, await third) == (1, 2)
    assert shared.waiting == 0


@pytest.mark.parametrize("steps", range(5))
async def test_who_leaves_in_the_moment_of_its_turn_passes_it_on(steps: int) -> None:
    """Told to make the call, and cancelled so many steps of the loop later."""
    calls = Calls()
    shared = SharedCalls(calls)
    first = await asking(shared.answer("a"))
    second, third = [await asking(shared.answer("a")) for _ in range(2)]
    calls.finish(1)
    for _ in range(steps):
        await asyncio.sleep(0)
    second.cancel()
    await settled()
    calls.finish(len(calls.open))
    assert await third == len(calls.began)
    assert await first == 1
    assert shared.waiting == 0
