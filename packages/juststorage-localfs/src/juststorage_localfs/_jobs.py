"""Threads for the calls that may wait, owned by one store.

The event loop's shared executor would let a slow disk stop everything else that uses it, and the
other way round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from juststorage.errors import Unavailable

__all__ = ["Jobs"]

P = ParamSpec("P")
T = TypeVar("T")


class Jobs:
    """A pool of threads. What is waited for is bounded by what core lets in."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="juststorage-localfs")

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call that someone may or may not wait for.

        Raises:
            Unavailable: The store is closed.
        """
        try:
            return self._pool.submit(call, *args, **kwargs)
        except RuntimeError as error:
            raise Unavailable("the blob store is closed") from error

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call in a thread and wait for it.

        Cancellation: a call that has not begun is dropped; one that has is waited for first, so
        that its buffers and descriptors are never in use behind the caller's back.
        """
        job = self.submit(call, *args, **kwargs)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if not job.cancel():
                with anyio.CancelScope(shield=True):
                    await _settled(job)
            raise

    async def wait(self, job: Future[T], *, timeout_s: float) -> T:
        """Wait for a job that has been submitted, but not for ever, and leave it to itself then.

        Raises:
            Unavailable: It took too long.
        """
        try:
            with anyio.fail_after(timeout_s):
                return await asyncio.wrap_future(job)
        except TimeoutError as error:
            raise Unavailable("the volume does not answer in time") from error

    async def run_to_the_end(self, call: Callable[[], None]) -> None:
        """`run` for cleaning up: whoever is cancelled meanwhile cleans up first.

        Raises:
            Unavailable: The store is closed; the call was not made.
        """
        job = self.submit(call)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(asyncio.wrap_future(job))

    async def aclose(self) -> None:
        """Take no more calls, and wait for those under way."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._pool.shutdown)


async def _settled(job: Future[T]) -> None:
    waiter = asyncio.wrap_future(job)
    # Nobody asks any more how it ended; asyncio would log a failure as forgotten, path and all.
    waiter.add_done_callback(lambda done: done.cancelled() or done.exception())
    # A shield keeps anyio's cancellation out; a task can be cancelled behind its back all the same.
    while not waiter.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([waiter])
