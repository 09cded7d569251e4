"""Wall clocks that an experiment sets: of its own processes, or of a database server.

The steady clocks of both go on as they are, and so do the dates of files, as if the files were on a
server of their own.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

__all__ = ["HostClock", "ServerClock", "library", "put_clock"]

_VARIABLE: Final = "TORTURE_CLOCK"
_OFFSET: Final = struct.Struct("q")
_PLACES: Final = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib/faketime/libfaketime.so.1")


class HostClock:
    """The time of day of the processes of a nursery that has its environment.

    They read it where the service does: `put_clock` takes the place of what Python asks the system.

    Args:
        path: A file that they share with the experiment.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_OFFSET.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _OFFSET.size)
        self.environment: Mapping[str, str] = {_VARIABLE: str(path)}

    def set(self, offset_s: int) -> None:
        """Let it jump to so many seconds after the true time, or before it."""
        _OFFSET.pack_into(self._memory, 0, offset_s)


def put_clock() -> None:
    """Give this process the clock that its environment names, if there is one."""
    if _VARIABLE not in os.environ:
        return
    from juststorage.runtime import SystemClock

    with Path(os.environ[_VARIABLE]).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)

    def offset_s() -> int:
        (seconds,) = _OFFSET.unpack_from(memory)
        return int(seconds)

    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + offset_s()
    time.time_ns = lambda: true_time_ns() + offset_s() * 10**9
    # It asks `datetime`, which is not Python's to change.
    SystemClock.now = lambda _: datetime.fromtimestamp(time.time(), UTC)  # type: ignore[method-assign]


# -- of a server that is not Python ---------------------------------------------------------------


def library() -> Path | None:
    """Libfaketime, which answers what a process asks the C library; None where there is none."""
    found = [path for place in _PLACES for path in Path("/").glob(place)]
    return found[0] if found else None


class ServerClock:
    """The time of day of whatever is started while it is `inherited`.

    Not for Python: the library moves times of the steady clock as well by which somebody wants to
    wake up, which is how Python sleeps, and all that a server in Python does takes three times as
    long.

    Args:
        path: A file, which all of them must be able to read.

    Raises:
        RuntimeError: Libfaketime is not installed.
    """

    def __init__(self, path: Path) -> None:
        found = library()
        if found is None:
            raise RuntimeError("a database's clock needs Debian's package libfaketime")
        self._path = path
        self.set(0)
        self._environment = {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",  # it jumps at once
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, offset_s: int) -> None:
        """Let it jump to so many seconds after the true time, or before it."""
        written = self._path.with_suffix(".new")
        written.write_text(f"{offset_s:+d}\n")
        written.chmod(0o644)
        written.replace(self._path)

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """What this process starts meanwhile has it."""
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
