"""The thread that owns a connection."""

from __future__ import annotations

import threading

import anyio
import pytest

from juststorage_sqlite._thread import DatabaseThread


async def test_jobs_run_in_order_on_one_thread() -> None:
    """All jobs see one thread, one after another."""
    seen: list[tuple[int, int]] = []
    async with DatabaseThread("test") as thread, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(
                thread.run, lambda number=number: seen.append((number, threading.get_ident()))
            )
    assert [number for number, _ in seen] == list(range(20))
    assert len({ident for _, ident in seen}) == 1


async def test_what_a_job_raises_is_raised_to_its_caller() -> None:
    """A failure goes to who asked, and the thread lives on."""

    def fails() -> None:
        raise LookupError("mine")

    async with DatabaseThread("test") as thread:
        with pytest.raises(LookupError, match="mine"):
            await thread.run(fails)
        assert await thread.run(lambda: 7) == 7


async def test_a_job_whose_caller_is_gone_does_not_start() -> None:
    """Nobody waits for the answer, so nothing is done for it."""
    started: list[str] = []
    gate = threading.Event()
    async with DatabaseThread("test") as thread, anyio.create_task_group() as tasks:
        tasks.start_soon(thread.run, gate.wait)
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await thread.run(lambda: started.append("cancelled"))
        gate.set()
    assert started == []


async def test_run_to_end_outlasts_cancellation() -> None:
    """A job that must not be torn from its caller is waited for."""
    ended: list[str] = []
    async with DatabaseThread("test") as thread:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await thread.run_to_end(lambda: ended.append("done"))
    assert ended == ["done"]


async def test_leaving_waits_for_what_runs() -> None:
    """The thread is gone when the block is."""
    thread = DatabaseThread("test of an end")
    async with thread:
        assert any(each.name == "test of an end" for each in threading.enumerate())
    assert not any(each.name == "test of an end" for each in threading.enumerate())
