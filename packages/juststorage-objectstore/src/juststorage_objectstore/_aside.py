"""A call that blocks, in a thread that nothing has to wait for: not the caller, nor the process.

A thread of anyio's, or of an executor, is waited for when the interpreter ends. One that waits for
a server which says nothing would hold the process for its whole time-out, long after SIGTERM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

__all__ = ["run_aside"]

T = TypeVar("T")


async def run_aside(call: Callable[[], T]) -> T:
    """Make the call in a thread of its own, and wait for it.

    Only for what may be broken off anywhere by the end of the process, such as a request.

    Cancellation: at once; the call goes on, and nobody learns its outcome.

    Raises:
        Exception: What the call raised.
    """
    job: Future[T] = Future()
    job.set_running_or_notify_cancel()  # so that a caller who leaves does not settle it

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  raised again, where it is waited for
            job.set_exception(error)
        else:
            job.set_result(result)

    Thread(target=run, name="object store", daemon=True).start()
    return await asyncio.wrap_future(job)
