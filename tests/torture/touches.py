"""What each step of an act touches: which orders of two steps are one, and whether that is so.

A step begins at a named point and ends where the same process comes to the next one. Two steps of
two processes that touch nothing in common come to the same whichever is first (`walk.py`), so what
is said here decides what is never run. It is therefore looked after: a `Watch` sees every statement
and every call to the filesystem, and tells of what a step touched and should not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from asyncpg.pool import PoolConnectionProxy  # type: ignore[import-untyped]

from juststorage_localfs._fsops import FsOps

__all__ = [
    "AREAS",
    "STEPS",
    "Touch",
    "Watch",
    "WatchedOps",
    "commute",
    "touch_of",
    "watched_statements",
]

AREAS: Final = ("leases", "references", "objects", "blobs", "staging", "placed", "trash")
"""Rows: that an upload is alive, which blob it counts on, objects that are no uploads any more, and
blobs. Files: on their way, with their names, and in the trash."""


class Touch(NamedTuple):
    """What a step touches."""

    reads: frozenset[str]
    writes: frozenset[str]
    own: frozenset[str]
    """Of these only what is of the process's own upload, and of nobody else's; a sweep, which looks
    at all uploads, reads or writes them."""


def _touch(*, reads: str = "", writes: str = "", own: str = "") -> Touch:
    return Touch(*(frozenset(each.split()) for each in (reads, writes, own)))


_ALL: Final = _touch(writes=" ".join(AREAS))
_TOUCHES: Final = {
    "before objects.begin": _touch(own="leases", reads="objects"),
    "before begin_resumable": _touch(own="leases staging"),
    # Of a sweep; and an upload in turns looks whether it is alive, and goes on.
    "before objects.live_uploads": _touch(own="leases staging", reads="leases"),
    "before objects.begin_reserved": _touch(own="leases references", writes="objects blobs"),
    "before objects.reserve": _touch(own="leases references staging", writes="blobs"),
    "before objects.commit": _touch(own="leases references staging", writes="objects blobs"),
    "before objects.commit_move": _touch(own="leases references staging", writes="objects blobs"),
    "before objects.abort": _touch(own="leases references", writes="blobs"),
    "before objects.find": _touch(reads="objects blobs"),
    "before objects.delete": _touch(writes="objects blobs"),
    "before objects.reap": _touch(writes="leases references objects blobs"),
    "before objects.bury": _touch(reads="blobs", writes="objects"),
    "before blobs.find": _touch(reads="blobs"),
    "before blobs.locators_in_use": _touch(reads="blobs"),
    "before blobs.claim": _touch(reads="references objects", writes="blobs"),
    # Up to where the bytes are moved, with the rows locked.
    "before blobs.remove": _touch(reads="references objects", writes="blobs"),
    "before remove": _touch(writes="placed trash"),
    "after remove": _touch(reads="references", writes="objects blobs"),
    "before blobs.confirm": _touch(reads="references objects", writes="blobs"),
    "before blobs.adopt": _touch(writes="blobs"),
    # What takes long shows now and then that it is alive.
    "before stage": _touch(own="leases staging"),
    "before put": _touch(own="leases staging", writes="placed"),
    "before place": _touch(own="leases staging", writes="placed"),
    "before staged": _touch(reads="staging"),
    "before discard": _touch(writes="staging"),
    "before open": _touch(reads="placed"),
    "before stat": _touch(reads="placed"),
    "before scan": _touch(reads="placed"),
    "before restore": _touch(writes="placed trash"),
    "before trash": _touch(reads="trash"),
    "before purge": _touch(writes="trash"),
}

STEPS: Final = frozenset(_TOUCHES)
"""Where a process stands still."""


def commute(one: str, other: str) -> bool:
    """Whether two steps of two processes come to the same in either order.

    They do where neither writes what the other one touches. What is not known touches everything.
    """
    first, second = _TOUCHES.get(one, _ALL), _TOUCHES.get(other, _ALL)
    return not (_disturbs(first, second) or _disturbs(second, first))


def _disturbs(one: Touch, other: Touch) -> bool:
    read, written = other.reads | other.writes, one.writes | one.own
    return bool(written & read or one.writes & other.own)


def touch_of(step: str) -> Touch:
    """What it touches."""
    return _TOUCHES[step]


# -- whether it is so -----------------------------------------------------------------------------

_TABLES: Final = {"objects": {"leases", "references", "objects"}, "blobs": {"blobs"}}
_WRITES: Final = re.compile(
    r"\b(?:INSERT INTO|(?<!FOR )(?<!DO )UPDATE|DELETE FROM) (?:ONLY )?(objects|blobs)\b", re.I
)
_NAMES: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|USING) (?:ONLY )?(objects|blobs)\b", re.I)
_LOCKS: Final = re.compile(r"\bFOR (?:NO KEY )?UPDATE(?! OF o\b)", re.I)
"""Of rows of blobs: those of objects have the name `o`."""


class Watch:
    """Sees what one process touches.

    Args:
        step: What it is at; empty where it is at none that is watched.
    """

    def __init__(self, step: Callable[[], str]) -> None:
        self._step = step
        self.breaches: set[str] = set()
        """What was touched and should not have been, a sentence each."""

    def statement(self, text: str) -> None:
        """It runs a statement."""
        text = " ".join(text.split())
        written = {name.lower() for name in _WRITES.findall(text)}
        named = {name.lower() for name in _NAMES.findall(text)}
        if _LOCKS.search(text):
            # Whoever writes these rows waits for it.
            written |= named & {"blobs"}
        for table in named | written:
            self._touched(_TABLES[table], writes=table in written, how=text[:120])

    def file(self, path: str, how: str, *, writes: bool) -> None:
        """It calls the filesystem."""
        head = path.partition("/")[0]
        if head == ".staging":
            area = "staging"
        elif head == ".trash":
            area = "trash"
        elif re.fullmatch(r"[0-9a-f]{2}", head):
            area = "placed"
        else:
            return
        self._touched({area}, writes=writes, how=f"{how} {path}")

    def _touched(self, areas: set[str], *, writes: bool, how: str) -> None:
        step = self._step()
        if not step:
            return
        may = _TOUCHES[step]
        allowed = may.writes | may.own if writes else may.reads | may.writes | may.own
        if not areas & allowed:
            what = " or ".join(sorted(areas))
            self.breaches.add(f"{step} {'writes' if writes else 'reads'} {what}: {how}")


class WatchedOps(FsOps):
    """The filesystem of a process that is watched, once it is."""

    watch: Watch | None = None

    def _see(self, path: str, how: str, *, writes: bool) -> None:
        if self.watch is not None:
            self.watch.file(path, how, writes=writes)

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        """Look at what is opened."""
        # A directory is opened to sync it: that changes nothing that anybody sees.
        if not flags & os.O_DIRECTORY:
            self._see(path, "open", writes=bool(flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)))
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def stat(self, path: str, *, dir_fd: int | None = None, follow: bool = False) -> os.stat_result:
        """Look at what is asked for."""
        self._see(path, "stat", writes=False)
        return super().stat(path, dir_fd=dir_fd, follow=follow)

    def entries(self, path: str, *, dir_fd: int) -> Generator[tuple[str, bool], None, None]:
        """Look at what is listed."""
        self._see(path, "list", writes=False)
        return super().entries(path, dir_fd=dir_fd)

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        """Look at both."""
        for path in (source, target):
            self._see(path, "rename", writes=True)
        super().rename(source, target, dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        """Look at both."""
        for path in (source, target):
            self._see(path, "link", writes=True)
        super().link(source, target, dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        """Look at what goes."""
        self._see(path, "unlink", writes=True)
        super().unlink(path, dir_fd=dir_fd)


@contextmanager
def watched_statements(watch_of: Callable[[Any], Watch | None]) -> Iterator[None]:
    """Look at the statements of the pools of asyncpg; `watch_of` a pool is who is told."""
    inner = {
        name: getattr(PoolConnectionProxy, name)
        for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval")
    }

    def between(call: Callable[..., Any]) -> Callable[..., Any]:
        async def told(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            holder = self._holder
            watch = None if holder is None else watch_of(holder._pool)
            if watch is not None:
                watch.statement(str(query))
            return await call(self, query, *args, **kwargs)

        return told

    for name, call in inner.items():
        setattr(PoolConnectionProxy, name, between(call))
    try:
        yield
    finally:
        for name, call in inner.items():
            setattr(PoolConnectionProxy, name, call)
