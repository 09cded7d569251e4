"""Turns among processes: the one that has waited writes next.

SQLite lets processes race for its write lock, and whoever has just let it go is first to ask again:
with two busy servers on one file, one of them waits for its next try while the other one commits
transaction after transaction. Behind a turnstile they alternate. It keeps order, not safety: that
is SQLite's own lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

__all__ = ["Turnstile"]

_PAUSE_S: Final = 0.0001
"""Between two tries: a tenth of what a transaction takes, and 1% of a core while one waits."""


class Turnstile:
    """Two locks beside the database: the turnstile, where one waits, and the turn itself.

    Who has the turn and wants it again finds the turnstile taken by the one who waits. The system
    takes both from a process that dies. For one thread at a time.
    """

    def __init__(self, waiting: int, writing: int) -> None:
        self._waiting = waiting
        self._writing = writing

    @classmethod
    def beside(cls, path: Path) -> Self:
        """The turnstile of the database at `path`; raises `OSError`."""
        return cls(_open(path, "waiting"), _open(path, "writing"))

    def close(self) -> None:
        """Close both files, which gives up what is held."""
        os.close(self._waiting)
        os.close(self._writing)

    def enter(self, timeout_s: float) -> None:
        """Wait for the turn; after `timeout_s` seconds go on without it.

        Raises nothing: where files cannot be locked everyone goes in, and SQLite decides.
        """
        deadline = time.monotonic() + timeout_s
        if _lock(self._waiting, deadline):
            _lock(self._writing, deadline)
        _unlock(self._waiting)

    def leave(self) -> None:
        """Give up the turn, if it is had."""
        _unlock(self._writing)


def _open(path: Path, what: str) -> int:
    name = path.with_name(f"{path.name}-{what}")
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_S)
        except OSError:
            return False
        else:
            return True


def _unlock(fd: int) -> None:
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
