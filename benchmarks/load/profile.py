"""A flame graph of the server under load: `benchmarks/profile`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import large, processes, small
from benchmarks.load.database import running_database
from benchmarks.load.server import Server

__all__ = ["main"]

_FILLED = 1000
_LARGE = {"upload", "download"}
_LARGE_BYTES = 256 * 2**20
_SAMPLES_PER_S = 250


def main() -> None:
    """Draw one."""
    parser = argparse.ArgumentParser(prog="benchmarks/profile")
    kinds = ("get", "stored", "new", "list", "pages", "unchanged", "upload", "download")
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="default: <kind>.svg, or <kind>.txt with --raw")
    parser.add_argument("--embedded", action="store_true", help="SQLite instead of PostgreSQL")
    parser.add_argument("--raw", action="store_true", help="stacks and counts instead of a picture")
    arguments = parser.parse_args()
    out = arguments.out or Path(f"{arguments.kind}.{'txt' if arguments.raw else 'svg'}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juststorage-bench-")))
        environment = {}
        if not arguments.embedded:
            environment = stack.enter_context(running_database()).environment()
        server = stack.enter_context(Server(folder / "data", workers=1, environment=environment))
        load = _load(server, folder, arguments.kind)
        load(1)  # warm-up
        thread = threading.Thread(target=load, args=[arguments.seconds + 1])
        thread.start()
        command = Path(sys.executable).with_name("py-spy")
        # Small requests are the interpreter's, and a pool's thread that waits looks as busy as one
        # that works; large bodies are moved by threads that do without the interpreter.
        threads = "--threads" if arguments.kind in _LARGE else "--gil"
        subprocess.run(
            [
                *(command, "record", "--pid", str(max(processes.family(server.pid))), threads),
                *("--rate", str(_SAMPLES_PER_S), "--duration", str(arguments.seconds)),
                *("--format", "raw" if arguments.raw else "flamegraph", "--output", out),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        thread.join()
    if not arguments.raw:
        # Instead of a command that holds for this machine and this minute.
        told = f">benchmarks/profile {arguments.kind}</text>"
        picture = re.sub(r"(?<=id=\"title\")([^>]*)>[^<]*</text>", rf"\1{told}", out.read_text())
        out.write_text(picture)
    print(out)


def _load(server: Server, folder: Path, kind: str) -> Callable[[float], None]:
    """What keeps the server busy for so many seconds."""
    if kind not in _LARGE:
        ids = folder / "ids"
        small.fill(server, _FILLED, ids)

        def many(seconds: float) -> None:
            small.rate(server, kind, seconds=seconds, ids=ids)

        return many

    source = large.source(folder, _LARGE_BYTES)
    moved = large.upload(server, source)

    def one(seconds: float) -> None:
        until = threading.Event()
        timer = threading.Timer(seconds, until.set)
        timer.start()
        while not until.is_set():
            if kind == "upload":
                large.upload(server, source)
            else:
                large.download(server, moved.object_ids, _LARGE_BYTES)
        timer.join()

    return one


if __name__ == "__main__":
    main()
