"""Many transfers at once, in constant memory, that end together; and what became of each."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, TypeVar

import click

from juststorage.cli import print_json_line, so_far
from juststorage.errors import Denied, JustStorageError, StorageFull, Unavailable
from juststorage_api._client._problems import FileTrouble
from juststorage_api._client._server import Server
from juststorage_api._client._target import Target

__all__ = ["Incomplete", "Report", "each_in_parallel"]

ItemT = TypeVar("ItemT")

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}


class Incomplete(JustStorageError):
    """Some of many failed; each has been told of."""

    code = "incomplete"


class Report:
    """What became of each, and of all when the block is left. Safe in several threads.

    Args:
        as_json: Print a document for each, and one for all.
        lists: Otherwise print a line for each that has a target, too.

    Raises:
        Incomplete: When the block is left, where any failed.
    """

    def __init__(self, as_json: bool, *, lists: bool = False) -> None:
        self._as_json = as_json
        self._lists = lists
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def add(
        self, name: str, outcome: str | JustStorageError | OSError, target: Target | None = None
    ) -> None:
        """One more: a word for what was done, or the failure.

        Args:
            name: Of the file.
            outcome: What became of it.
            target: The object; None where there is none to be.
        """
        word, problem, code = "failed", None, None
        if isinstance(outcome, str):
            word = outcome
        elif isinstance(outcome, JustStorageError):
            problem, code = outcome.detail, outcome.code
        else:
            problem, code = outcome.strerror or str(outcome), FileTrouble.code
        # A name that is not UTF-8 must not keep the others from being told.
        name = _shown(name)
        with self._lock:
            self.counts[word] += 1
            if problem is not None:
                click.echo(f"juststorage: {name!r}: {problem}", err=True)
            if self._as_json:
                key = None if target is None or target.key is None else _shown(target.key)
                told = {"name": name, "key": key, "outcome": word, "code": code}
                print_json_line({**told, "problem": problem})
            elif self._lists and target is not None and problem is None:
                click.echo(f"{word}: {_shown(str(target))}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._as_json:
            told = ", ".join(f"{count} {word}" for word, count in sorted(self.counts.items()))
            if told or error is None:
                # Who could not even begin does not know that there was nothing.
                click.echo(told or "nothing to do")
        elif error is not None or self.counts["failed"]:
            # The last line is about the failure then, and about how far it came.
            so_far(click.get_current_context(), counts=dict(self.counts))
        else:
            print_json_line({"counts": dict(self.counts)})
        if error is None and (failed := self.counts["failed"]):
            raise Incomplete(f"{failed} of {sum(self.counts.values())} failed, as told above")


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")


def each_in_parallel(
    server: Server,
    items: Iterable[ItemT],
    work: Callable[[ItemT], str],
    done: Callable[[ItemT, str | JustStorageError | OSError], None],
    *,
    jobs: int,
) -> None:
    """Do `work` for each item, `jobs` at once; `done` hears of each result or failure.

    Items are taken as they are needed. A failure stops nothing but its item, unless all others
    would fail as well.

    Raises:
        JustStorageError: The server is away, full, or does not let us: what has not begun does not
            begin, what runs is stopped.
        OSError: There is no room here.
    """
    slots = threading.Semaphore(jobs * 2)
    fatal: list[BaseException] = []

    def one(item: ItemT) -> None:
        try:
            try:
                result: str | JustStorageError | OSError = work(item)
            except (JustStorageError, OSError) as error:
                if _stops_all(error):
                    raise
                result = error
            done(item, result)
        except BaseException as error:  # noqa: BLE001  raised again, in the thread that waits
            fatal.append(error)
            server.stop.set()
        finally:
            slots.release()

    with ThreadPoolExecutor(jobs, thread_name_prefix="transfer") as pool:
        try:
            for item in items:
                slots.acquire()
                if server.stop.is_set():
                    break
                pool.submit(one, item)
            else:
                # Not by leaving the pool: an interruption there would wait for all that runs.
                for _ in range(jobs * 2):
                    slots.acquire()
        except BaseException:
            server.stop.set()  # Ctrl-C, most likely: what runs ends at its next piece
            raise
        finally:
            if server.stop.is_set():
                pool.shutdown(cancel_futures=True)
    if fatal:
        raise fatal[0]


def _stops_all(error: JustStorageError | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, (Unavailable, Denied, StorageFull))
