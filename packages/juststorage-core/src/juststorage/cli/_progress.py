"""Progress bars: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import click

__all__ = ["Progress", "readable_bytes"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEPS: Final = 500
"""How often a bar is drawn at most: whoever watches over a slow line still can."""


class Progress:
    """What has been moved so far, with a bar where somebody watches. Safe in several threads.

    A context manager; the bar is there from when it is known how many bytes are ahead until the
    block is left. Nothing is drawn where standard error is no terminal.

    Args:
        label: What stands before the bar.
        quiet: Draw nothing: the output is for a program.
    """

    def __init__(self, label: str = "", *, quiet: bool = False) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._bar: Any = None
        self._began = time.monotonic()
        self._step = 1
        self._drawn = 0
        self.is_watched = not quiet and sys.stderr.isatty()
        """Whether there is a bar as soon as `expects` is called."""
        self.bytes = 0

    def expects(self, size_bytes: int) -> None:
        """So many bytes are ahead; of none there is no bar, and of the first number only."""
        with self._lock:
            if self._bar is not None or not self.is_watched or not size_bytes:
                return
            self._began = time.monotonic()
            self._step = max(1, size_bytes // _STEPS)
            self._bar = click.progressbar(
                length=size_bytes,
                label=self._label,
                file=sys.stderr,
                show_eta=True,
                show_percent=True,
            )
            self._bar.__enter__()
            self._draw()

    def moved(self, size_bytes: int) -> None:
        """So many bytes more; fewer, where some have to be moved again."""
        with self._lock:
            self.bytes += size_bytes
            if abs(self.bytes - self._drawn) >= self._step:
                self._draw()

    def _draw(self) -> None:
        if self._bar is None:
            return
        rate = self.bytes / max(1e-3, time.monotonic() - self._began)
        self._bar.label = f"{self._label} {readable_bytes(rate)}/s"
        self._bar.make_step(self.bytes - self._drawn)
        self._bar.finished = self.bytes >= self._bar.length  # not for good: it may go back
        self._bar.render_progress()
        self._drawn = self.bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._bar is not None:
                self._draw()
                self._bar.__exit__(kind, error, trace)
                self._bar = None


def readable_bytes(count: float) -> str:
    """`1.5 GiB`."""
    power = 0
    while count >= 1024 and power < len(_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.{min(power, 1)}f} {_UNITS[power]}"
