"""How long a start takes, of the embedded default: what a developer waits for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.report import Row
from benchmarks.load.server import Server

__all__ = ["help_s", "measure"]


def measure(folder: Path, runs: int) -> Iterator[Row]:
    """Each start anew; `folder` must not exist."""
    folder.mkdir()
    yield Row("`juststorage --help`", [help_s() for _ in range(runs)], "s", note="must: <= 0.25")
    with Server(folder / "data") as server:
        first = server.ready_s  # makes the database and a key
    ready = []
    for _ in range(runs):
        with Server(folder / "data") as server:
            ready.append(server.ready_s)
    note = f"must: <= 1.5; the first one, {first:.2f} s"
    yield Row("`juststorage serve` to ready", ready, "s", note=note)


def help_s() -> float:
    """One `juststorage --help`, in seconds."""
    started = time.perf_counter()
    command = Path(sys.executable).with_name("juststorage")
    subprocess.run([command, "--help"], check=True, capture_output=True)
    return time.perf_counter() - started
