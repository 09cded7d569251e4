"""Points at which an experiment interferes: counted in memory that it shares with its processes.

A process under torture passes a point before each call that changes a file, and before and after
each statement. The experiment arms one of them, and what it wants happens there: the process is
killed or frozen, or the call fails. Nothing of this is in the product: see `backends.py`.

Which one it is can be told in two ways: by its number from now, and by what is there and how often
that was passed before. The second one stays the same when an act passes a point more elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import signal
import struct
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["NEVER", "Act", "Kind", "Point", "Points", "Side"]

NEVER = 10**9
"""The number of no point, to see which ones are passed."""

_LAYOUT = struct.Struct("qqqq256p")
"""What, where, the last one, on which side; and the text, where only points with it count."""

_LOG_BYTES = 1 << 20


class Act(IntEnum):
    """What happens at the armed point."""

    NOTHING = 0
    KILL = 1
    FREEZE = 2
    FULL = 3
    BROKEN = 4
    UNREADABLE = 5
    LYING = 6
    KILL_CLIENT = 7


class Kind(IntEnum):
    """What is at a point."""

    STATEMENT = 0
    CHANGE = 1
    READ = 2
    WORD = 3
    """Of a client, to or from the server."""


class Side(IntEnum):
    """Whose points are counted: servers also do things by themselves, now and then."""

    ANY = 0
    SERVER = 1
    COMMAND = 2

    @classmethod
    def here(cls) -> Side:
        """That of this process."""
        return cls.SERVER if sys.argv[1:2] == ["serve"] else cls.COMMAND


_NEW_EACH_TIME = re.compile(
    r"(?<= )/\S*/|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{8}T\d{4}|[0-9a-f]{8,}"
    r"|\b[0-9a-f]{2}(?= |/|$)"
    r"|(?<=^write )\d+|(?<= of )\d+(?= bytes)|(?<=^allocate )\d+|(?<=^truncate to )\d+"
)
"""Where this run is, names of files and directories, and sizes, which follow from contents."""


class Point(NamedTuple):
    """A point by what is there, and by how often that is passed up to it; the first time is 1."""

    text: str
    nth: int

    def __str__(self) -> str:
        return f"{self.text} ({self.nth})"

    @staticmethod
    def text_of(where: str) -> str:
        """What is there, without what is new each time."""
        return _NEW_EACH_TIME.sub("*", where)

    @classmethod
    def all_of(cls, passed: Iterable[str]) -> list[Self]:
        """Those that were passed, in their order."""
        seen: Counter[str] = Counter()
        found = []
        for text in map(cls.text_of, passed):
            seen[text] += 1
            found.append(cls(text, seen[text]))
        return found


_COUNTED = {
    Act.KILL: (Kind.STATEMENT, Kind.CHANGE),
    Act.FREEZE: (Kind.STATEMENT, Kind.CHANGE),
    Act.FULL: (Kind.CHANGE,),
    Act.BROKEN: (Kind.CHANGE,),
    Act.UNREADABLE: (Kind.READ,),
    Act.LYING: (Kind.READ,),
    Act.KILL_CLIENT: (Kind.WORD,),
}
"""Which points count for what."""

_ERRNO = {Act.FULL: errno.ENOSPC, Act.BROKEN: errno.EIO, Act.UNREADABLE: errno.EIO}


class Points:
    """The counter in a file; every process of an experiment opens it by its path.

    One process is armed at a time. It is kept apart from the experiment: a point that is passed
    while the experiment disarms would arm the next one again.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LOG_BYTES))
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        self._memory = mmap.mmap(self._fd, _LOG_BYTES)
        self._lock = threading.Lock()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone of all processes. The kernel lets go of it for one that is killed."""
        # Not flock: forked children would share it with whom they come from.
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    # -- the experiment's side ------------------------------------------------------------------

    def arm(
        self,
        act: Act,
        where: Point | int,
        *,
        until: int | None = None,
        lasts: bool = False,
        side: Side = Side.ANY,
    ) -> None:
        """Let it happen at this point, or at the n-th from now, the first being 1.

        Args:
            act: What.
            where: Where.
            until: The last number at which a call fails as well; None for that one alone.
            lasts: From there on each call fails.
            side: In which processes.
        """
        text, number = where if isinstance(where, Point) else ("", where)
        last = NEVER if lasts else until or number
        with self._lock, self._locked():
            _LAYOUT.pack_into(self._memory, 0, act, number, last, side, text.encode())
            self._write_log("")

    def disarm(self) -> list[str]:
        """No more; the points that were passed since it was armed."""
        with self._lock, self._locked():
            _LAYOUT.pack_into(self._memory, 0, Act.NOTHING, 0, 0, Side.ANY, b"")
            return self._read_log().splitlines()

    def armed(self) -> Act:
        """What would happen at a later point."""
        return Act(_LAYOUT.unpack_from(self._memory, 0)[0])

    def passed(self) -> list[str]:
        """The points that were passed since it was armed."""
        return self._read_log().splitlines()

    # -- the tortured side ----------------------------------------------------------------------

    def reach(self, where: str, kind: Kind = Kind.STATEMENT) -> bool:
        """Pass a point; whether it is to lie about what it reads.

        Raises:
            OSError: It is the armed one, and the call is to fail.
        """
        with self._lock:
            act, is_it = self._count(where, kind)
            # Still alone of all threads, and no longer of all processes: another thread of a frozen
            # one would hold up everybody else. Sent to this very thread: another one might take it
            # only when this one is at its next point, and holds the counter.
            if is_it and act == Act.FREEZE:
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        if not is_it or act in {Act.FREEZE, Act.LYING}:
            return is_it and act == Act.LYING
        if act in {Act.KILL, Act.KILL_CLIENT}:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(_ERRNO[act], f"told to fail at {where}")

    def _count(self, where: str, kind: Kind) -> tuple[Act, bool]:
        """What is armed, and whether this is its point."""
        with self._locked():
            act, number, until, side, text = _LAYOUT.unpack_from(self._memory, 0)
            if side not in {Side.ANY, Side.here()}:
                return Act.NOTHING, False
            if act == Act.NOTHING or kind not in _COUNTED[Act(act)]:
                return Act.NOTHING, False
            self._write_log(self._read_log() + where + "\n")
            if text and Point.text_of(where).encode() != text:
                return Act(act), False
            if number == 1:
                text = b""  # what lasts is anywhere
            _LAYOUT.pack_into(self._memory, 0, act, number - 1, until - 1, side, text)
            return Act(act), number == 1 or (number < 1 <= until)

    # -- the log --------------------------------------------------------------------------------

    def _read_log(self) -> str:
        text = self._memory[_LAYOUT.size :]
        return text[: text.index(0)].decode()

    def _write_log(self, text: str) -> None:
        data = text.encode()[: _LOG_BYTES - _LAYOUT.size - 1] + b"\0"
        self._memory[_LAYOUT.size : _LAYOUT.size + len(data)] = data
