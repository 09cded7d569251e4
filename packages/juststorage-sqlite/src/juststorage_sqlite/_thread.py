"""A thread that owns a connection, and how the event loop asks it for work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

__all__ = ["DatabaseThread"]

ResultT = TypeVar("ResultT")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class DatabaseThread:
    """Runs jobs one after another on a thread of its own; an async context manager.

    A pool such as anyio's would hand a connection from thread to thread and cost two more context
    switches a job. Here a job costs one wake-up each way.

    Cancellation: a job whose caller is gone before it starts is skipped; one that runs is run to
    its end, and its answer is dropped.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):  # jobs end, so this ends
            await self._ended
        self._thread.join()

    async def run(self, job: Callable[[], ResultT]) -> ResultT:
        """Run a job and wait for what it returns or raises."""
        assert self._loop is not None
        answer: asyncio.Future[ResultT] = self._loop.create_future()
        self._jobs.put((job, answer))
        return await answer

    async def run_to_end(self, job: Callable[[], ResultT]) -> ResultT:
        """`run` that a cancellation does not interrupt."""
        with anyio.CancelScope(shield=True):
            answer = await self.run(job)
        return answer  # noqa: RET504 - a scope may swallow, so a checker wants it out here

    def _main(self) -> None:
        assert self._loop is not None
        call = self._loop.call_soon_threadsafe
        while (entry := self._jobs.get()) is not None:
            job, answer = entry
            if answer.cancelled():
                continue
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                call(_fail, answer, error)
                del error
            else:
                call(_succeed, answer, result)
                del result
            del entry, job, answer
        call(_succeed, self._ended, None)


def _succeed(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
