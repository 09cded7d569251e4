"""Whether a backend blocks the event loop: while it waits there, every other request waits too."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BLOCKED_S", "LoopWatch"]

BLOCKED_S = 0.5
"""A wait on the loop that is reported. Far more than one file call takes, so busy disks pass."""

_LOOK_S = 0.05
_TASKS = Path("/proc/self/task")


class LoopWatch:
    """Looks at a loop's thread from another one.

    A thread that computes, or that a busy machine does not let run, is not blocked: only one that
    the system lists as sleeping, in one and the same place, while the loop has something to do.
    Where the system does not list threads (elsewhere than on Linux) nothing is found.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._native_id = threading.get_native_id()
        self._thread_id = threading.get_ident()
        self._done = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the block runs."""
        thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_S):
            turned = threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:
                return  # the loop is closed
            place = self._sleeping_until(turned)
            if place is not None:
                self.found.append(place)
                while not self._done.is_set() and not turned.wait(_LOOK_S):
                    pass

    def _sleeping_until(self, turned: threading.Event) -> str | None:
        """Where the thread has slept for BLOCKED_S; None when the loop turned or it moved on."""
        place, since = self._place(), time.monotonic()
        while not turned.wait(_LOOK_S) and not self._done.is_set():
            now = self._place()
            if now is None or now != place:
                place, since = now, time.monotonic()
            elif time.monotonic() - since >= BLOCKED_S:
                return place
        return None

    def _place(self) -> str | None:
        """The innermost lines that the thread is in, where it sleeps."""
        try:
            status = (_TASKS / str(self._native_id) / "stat").read_text()
        except OSError:
            return None
        if status.rpartition(")")[2].split()[0] not in {"S", "D"}:
            return None
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001  its documented name
        lines = traceback.extract_stack(frame)[-3:]
        return " > ".join(f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in lines)
