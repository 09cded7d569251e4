"""Files that stay in memory while they are measured.

A host that wants memory back has the kernel give up pages that look idle and that nobody has mapped
(DAMON), after a minute and a few at a time. A download from memory is then one from the disk
here and there, for whoever serves it, and a figure of that host's. What is mapped stays.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["kept_in_memory"]


@contextmanager
def kept_in_memory(folders: Iterable[Path], *, size: int, newest: int) -> Iterator[None]:
    """Read and map the newest files of about a size below each of these folders.

    Args:
        folders: Those that are not there have none.
        size: Of a body; a file may have more about it.
        newest: How many of each folder.
    """
    with ExitStack() as stack:
        for folder in folders:
            files = [path for path in folder.rglob("*") if path.is_file()]
            alike = [path for path in files if size <= path.stat().st_size < 2 * size]
            alike.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in alike[-newest:]:
                stack.enter_context(_mapped(path))
        yield


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        with mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ):
            yield
