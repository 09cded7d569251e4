"""Syncs that fail: never acknowledged, and never tried again on the same file.

After a failed sync the kernel may have dropped what was not written, and called it clean: a second
one returns 0, and means nothing. Whoever lost one has to give up the file, and its volume.

The tortured side notes in a file what it should not have seen; the experiment looks there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

__all__ = ["Syncs", "repeated"]

_File: TypeAlias = tuple[int, ...]


def _notes(points: Path) -> Path:
    return points.with_name("repeated-syncs")


def repeated(points: Path) -> list[str]:
    """The syncs that were repeated by any process with these points, so far."""
    notes = _notes(points)
    return notes.read_text().splitlines() if notes.exists() else []


class Syncs:
    """The syncs of one process.

    A regular file is the same one through whichever descriptor. A directory, or a volume, has
    others' changes too, and is the same one only through the same descriptor.

    Args:
        points: The file of the points, beside which the notes are.
    """

    def __init__(self, points: Path) -> None:
        self._notes = _notes(points)
        self._failed: set[_File] = set()
        self._held: list[int] = []

    def sync(self, fd: int, call: Callable[[int], None], name: str) -> None:
        """Sync by this call; raises what it raises."""
        facts = os.fstat(fd)
        is_file = stat.S_ISREG(facts.st_mode)
        this: _File = (facts.st_dev, facts.st_ino) if is_file else (fd,)
        if this in self._failed:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            with self._notes.open("a") as notes:
                notes.write(f"{name} of {path}\n")
        try:
            call(fd)
        except OSError:
            self._failed.add(this)
            if is_file:  # held, so that no other file is given its number
                self._held.append(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
            raise

    def closed(self, fd: int) -> None:
        """The descriptor is about to be closed: its number will be another's."""
        self._failed.discard((fd,))

    def close(self) -> None:
        """Let go of all files."""
        while self._held:
            os.close(self._held.pop())
