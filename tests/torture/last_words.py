"""Last words of a process that was told to end and does not: where it is.

A stack of its threads says only that the event loop waits. What it waits for is in the tasks; what
became of a signal is in what the kernel says of signals.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

__all__ = ["LAST_WORDS", "be_asked"]

LAST_WORDS: Final = signal.SIGUSR2
"""The signal on which a process that has called `be_asked` writes them to its standard error."""

_AWAITED: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""Of coroutines, generators and asynchronous generators: where one is, and what it waits for."""


def be_asked() -> None:
    """From now on, say on `LAST_WORDS` where every thread and every task is, and go on."""
    signal.signal(LAST_WORDS, _tell_tasks)
    # Also where the main thread never comes back to Python, in which signals are handled.
    faulthandler.register(LAST_WORDS, all_threads=True, chain=True)


def _tell_tasks(*_: object) -> None:
    lines = list(_signals())
    with suppress(RuntimeError):  # no loop runs: the threads are all that there is
        for task in asyncio.all_tasks():
            lines += [f"task {task!r}", *_places(task.get_coro())]
    os.write(2, "".join(f"{line}\n" for line in lines).encode())


def _signals() -> Iterator[str]:
    """Which are pending, blocked and caught, and what wakes the event loop on one."""
    status = Path("/proc/self/status").read_text().splitlines()
    yield from (line for line in status if line.startswith(("Sig", "ShdPnd")))
    wakes = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakes)
    with suppress(OSError):  # none, or one that is closed
        yield f"signals wake through {wakes}, {Path(f'/proc/self/fd/{wakes}').readlink()}"


def _places(awaited: Any) -> Iterator[str]:
    while awaited is not None:
        names = _names(awaited)
        if names is None:
            yield f"    {awaited!r}"
            return
        frame_name, next_name = names
        frame = getattr(awaited, frame_name)
        yield f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        awaited = _within(getattr(awaited, next_name))


def _names(awaited: Any) -> tuple[str, str] | None:
    return next((each for each in _AWAITED if getattr(awaited, each[0], None) is not None), None)


def _within(awaited: Any) -> Any:
    """What is behind a step of an asynchronous generator, which does not tell whose it is."""
    if _names(awaited) is not None or isinstance(awaited, asyncio.Future):
        return awaited
    return next((each for each in gc.get_referents(awaited) if _names(each) is not None), awaited)
