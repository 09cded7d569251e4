"""Progress bars: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

import click

__all__ = ["Bar", "readable_bytes"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Bar:
    """A bar of bytes, from when it is known how many there are until the block is left."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Any = None
        self._began = time.monotonic()
        self._done = 0

    def expects(self, size_bytes: int) -> None:
        """So many bytes are ahead."""
        self._began = time.monotonic()
        if self._bar is None and sys.stderr.isatty():
            self._bar = click.progressbar(
                length=size_bytes,
                label=self._label,
                file=sys.stderr,
                show_eta=True,
                show_percent=True,
                update_min_steps=max(1, size_bytes // 500),
            )
            self._bar.__enter__()

    def moved(self, size_bytes: int) -> None:
        """So many of them are done."""
        self._done += size_bytes
        if self._bar is not None:
            rate = self._done / max(1e-3, time.monotonic() - self._began)
            self._bar.label = f"{self._label} {readable_bytes(rate)}/s"
            self._bar.update(size_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)


def readable_bytes(count: float) -> str:
    """`1.5 GiB`."""
    power = 0
    while count >= 1024 and power < len(_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.{min(power, 1)}f} {_UNITS[power]}"
