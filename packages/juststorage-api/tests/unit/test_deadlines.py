"""Which requests are overdue."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel

from juststorage.config import Limits
from juststorage.errors import Unavailable
from juststorage_api._deadlines import Deadlines
from juststorage_api._exchange import Exchange


def exchange(**state: Any) -> Exchange:
    """One that began just now."""

    async def nothing(*arguments: Any) -> Any:
        raise AssertionError

    made = Exchange(
        {"method": "GET"},
        nothing,
        nothing,
        path=b"/",
        fields={},
        request_id=b"r",
        bounds=Limits(),
        since=perf_counter(),
    )
    for name, value in state.items():
        setattr(made, name, value)
    return made


async def test_only_what_is_no_body_counts() -> None:
    """Bodies on their way, in or out, and what moves bytes, are never overdue."""
    late = exchange()
    patient = exchange()
    patient.may_take_long()
    spared = [exchange(body_asked=True), exchange(started=True), patient]
    refused: list[Exchange] = []

    async def refuse(each: Exchange, error: Exception) -> None:
        assert isinstance(error, Unavailable)
        refused.append(each)
        # By the second time round all of them would have been looked at.
        if len(refused) == 2:
            tasks.cancel_scope.cancel()
        deadlines.add(exchange())

    deadlines = Deadlines(0.05, refuse)
    for each in [*spared, late]:
        deadlines.add(each)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deadlines.run)
    assert refused[0] is late
    assert not set(spared) & set(refused)


async def test_time_counts_again_after_a_body() -> None:
    """A body that is all there has not used up the time of what comes after it."""
    stopped = anyio.Event()
    late = exchange(since=perf_counter() - 100, body_asked=True, stop=stopped.set)

    async def refuse(each: Exchange, error: Exception) -> None:
        raise AssertionError("it can be stopped")

    deadlines = Deadlines(0.05, refuse)
    deadlines.add(late)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deadlines.run)
            while late.since < perf_counter() - 50:
                await anyio.lowlevel.checkpoint()
            assert not stopped.is_set()
            late.body_done = True
            await stopped.wait()
            tasks.cancel_scope.cancel()


async def test_nobody_is_refused_twice() -> None:
    """What goes on after its refusal is left alone."""
    late, count = exchange(), 0

    async def refuse(each: Exchange, error: Exception) -> None:
        nonlocal count
        count += each is late
        if each is not late:
            tasks.cancel_scope.cancel()
        deadlines.add(exchange())

    deadlines = Deadlines(0.05, refuse)
    deadlines.add(late)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deadlines.run)
    assert count == 1
