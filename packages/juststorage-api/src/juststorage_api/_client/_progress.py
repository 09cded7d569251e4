"""Progress bars: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

__all__ = ["Progress", "progress", "readable_bytes"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Progress:
    """What has been moved so far. Safe in several threads."""

    def __init__(self, label: str = "", bar: Any = None) -> None:
        self._label = label
        self._bar = bar
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.bytes = 0

    def moved(self, count: int) -> None:
        """So many bytes more; fewer, where some have to be moved again."""
        with self._lock:
            self.bytes += count
            if self._bar is not None:
                elapsed = max(1e-3, time.monotonic() - self._began)
                self._bar.label = f"{self._label} {readable_bytes(self.bytes / elapsed)}/s"
                self._bar.update(count)


@contextmanager
def progress(length_bytes: int | None, label: str) -> Iterator[Progress]:
    """A bar while the block lasts, where somebody watches and the length is known."""
    if length_bytes is None or not sys.stderr.isatty():
        yield Progress()
        return
    with click.progressbar(
        length=length_bytes,
        label=label,
        file=sys.stderr,
        show_eta=True,
        show_percent=True,
        update_min_steps=max(1, length_bytes // 500),
    ) as bar:
        yield Progress(label, bar)


def readable_bytes(count: float) -> str:
    """`1.5 GiB`."""
    power = 0
    while count >= 1024 and power < len(_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.{min(power, 1)}f} {_UNITS[power]}"
