"""Work in a process of its own, which is left behind when it does not end.

A process one of whose threads waits for a disk cannot be ended, not even by SIGKILL: who waits for
its end, or for the end of its output, waits as long. So the child holds nothing of this process.
What it finds comes through a pipe, and what it logs through another one.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Final, NoReturn, TypeAlias

import click

__all__ = ["Aside", "Tell"]

_LIFE_S: Final = 10.0
"""A child whose parent was killed ends by itself after this, unless it waits for a disk."""

_PIECE_BYTES: Final = 65_536

Tell: TypeAlias = Callable[[bytes], None]
"""Sends a message, in one line, to the parent."""


class Aside:
    """One piece of work aside. For a process without threads.

    Args:
        ends: Until when it is listened to, on the monotonic clock; may be changed meanwhile.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends

    @property
    def is_late(self) -> bool:
        """Whether it was cut off, or would be now."""
        return time.monotonic() >= self.ends

    def run(self, work: Callable[[Tell], None]) -> Generator[bytes, None, None]:
        """The messages of `work`, until it ends or its time does. What it logs is passed on."""
        sys.stdout.flush()
        sys.stderr.flush()
        told, telling = os.pipe()
        log, logging = os.pipe()
        child = os.fork()
        if child == 0:
            _be_child(work, telling, logging)
        os.close(telling)
        os.close(logging)
        os.set_blocking(log, False)
        try:
            yield from self._heard(told, log)
        finally:
            _pass_on(log)
            os.close(told)
            os.close(log)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, os.WNOHANG)  # whoever outlives this process is taken in by the system

    def _heard(self, told: int, log: int) -> Generator[bytes, None, None]:
        begun = b""
        with selectors.DefaultSelector() as ready:
            ready.register(told, selectors.EVENT_READ)
            ready.register(log, selectors.EVENT_READ)
            while (left_s := self.ends - time.monotonic()) > 0:
                for key, _ in ready.select(left_s):
                    if key.fd == log:
                        if not _pass_on(log):
                            ready.unregister(log)
                    elif piece := os.read(told, _PIECE_BYTES):
                        *lines, begun = (begun + piece).split(b"\n")
                        yield from lines
                    else:
                        return


def _pass_on(log: int) -> bool:
    """Write what has been logged; whether there may be more."""
    with suppress(BlockingIOError):
        while piece := os.read(log, _PIECE_BYTES):
            click.echo(piece, err=True, nl=False)
        return False
    return True


def _be_child(work: Callable[[Tell], None], telling: int, logging: int) -> NoReturn:
    """The child's whole life: it never comes back into the parent's code, and waits for nobody."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells
        signal.setitimer(signal.ITIMER_REAL, _LIFE_S)
        nothing = os.open(os.devnull, os.O_RDWR)
        for ours, theirs in ((nothing, 0), (nothing, 1), (logging, 2)):
            os.dup2(ours, theirs)
        os.close(logging)

        def tell(message: bytes) -> None:
            os.write(telling, message + b"\n")

        work(tell)
    except BaseException:  # noqa: BLE001  what is above belongs to the parent
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(0)
