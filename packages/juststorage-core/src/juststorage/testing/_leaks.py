"""What a backend must not leave behind in the process: open files and running tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["no_leaks"]

_DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def no_leaks() -> Iterator[None]:
    """Fail when files are open, or tasks run, after the block that were not before it.

    Files are compared where the system lists them (Linux). Sockets and pipes are not compared: the
    event loop and its threads have their own.
    """
    files, tasks = _open_files(), asyncio.all_tasks()
    yield
    left_tasks = {_name(task) for task in asyncio.all_tasks() - tasks} - {None}
    assert not left_tasks, f"tasks are still running: {left_tasks}"
    left_files = _open_files() - files
    assert not left_files, f"files are still open: {sorted(path for _, path in left_files)}"


def _name(task: asyncio.Task[Any]) -> str | None:
    """What the task runs; None for those in which anyio's pytest plugin runs the test itself."""
    name = getattr(task.get_coro(), "__qualname__", task.get_name())
    return None if name.startswith("TestRunner.") else str(name)


def _open_files() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    if not _DESCRIPTORS.is_dir():
        return found
    for descriptor in _DESCRIPTORS.iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # the one that lists the directory is closed by now
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
            found.add((descriptor.name, target))
    return found
