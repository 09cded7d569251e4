"""Patience: a plugin that hangs while it is imported or asked is broken off, and reported."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["PATIENCE_S", "TookTooLong", "patience", "patience_s"]

PATIENCE_S = 20.0
"""For one plugin. Far more than a heavy import takes on a busy machine."""

_AGAIN_S = 0.5


class TookTooLong(BaseException):
    """No `Exception`: a loop that tries a connection again and again would swallow that."""


def patience_s() -> float:
    """How long to wait for each plugin: what `JUSTSTORAGE_PLUGINS_PATIENCE_S` says, else 20 s."""
    try:
        return max(0.1, float(os.environ.get("JUSTSTORAGE_PLUGINS_PATIENCE_S", "")))
    except ValueError:
        return PATIENCE_S


@contextmanager
def patience(limit_s: float) -> Iterator[None]:
    """Raise `TookTooLong` in the block once it has lasted for `limit_s`, and again until it ends.

    By a signal, so only in the main thread; and not where others use it: for a timer that ends
    sooner, or from C. Elsewhere the block may last. Whoever loads plugins does it at start-up, in
    the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left_s, _ = signal.getitimer(signal.ITIMER_REAL)
    # A handler that is not Python's could not be put back.
    if 0 < left_s <= limit_s or signal.getsignal(signal.SIGALRM) is None:
        yield
        return

    over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not over:
            raise TookTooLong

    started = time.monotonic()
    former = signal.signal(signal.SIGALRM, ring)
    left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        if left_s:
            rest_s = left_s - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(rest_s, 0.001), interval_s)
