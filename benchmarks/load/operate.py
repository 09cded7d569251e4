"""What operators wait for: import, back-up, a scrape, and `doctor`: `benchmarks/operate`."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import large, limits
from benchmarks.load.report import Row, table
from benchmarks.load.server import Server

__all__ = ["main"]

_MB = 1_000_000
_MIB = 2**20
_LARGE = 64 * _MIB
_SMALL = 16 * 1024
_SMALL_ONES = 500
_WORKERS = 8
"""Of the server that is scraped."""
_SCRAPES = 20
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


class _Ran(NamedTuple):
    """A command that is over."""

    spent_s: float
    peak_mib: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks/operate", description=__doc__)
    parser.add_argument("--gib", type=float, default=4, help="what is moved (default: 4)")
    parser.add_argument("--runs", type=int, default=3, help="of each command")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="juststorage-bench-") as folder:
        rows = [
            *_moved(Path(folder), round(arguments.gib * 1024 * _MIB), arguments.runs),
            *_watched(Path(folder), arguments.runs),
        ]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")


def _moved(folder: Path, size: int, runs: int) -> list[Row]:
    """Everything in and out, each time with bytes that are stored nowhere yet."""
    hashing = limits.sha256_mb_s(1)
    writing = limits.write_mb_s(folder, min(size, 1024 * _MIB))
    took: dict[str, list[_Ran]] = {}
    for run in range(runs):
        place = folder / str(run)
        (place / "backup").mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=large.memory()) as memory:
            moved = _fill(Path(memory), size)
            with Server(place / "data") as server:
                told = {
                    **server.environment,
                    "JUSTSTORAGE_URL": f"http://127.0.0.1:{server.port}",
                    "JUSTSTORAGE_KEY": server.key,
                }
                for name, *words in (
                    ("import", "import", memory, "bench/bench"),
                    ("export", "export", "bench/bench", str(place / "out")),
                    ("backup create", "backup", "create", str(place / "backup")),
                ):
                    took.setdefault(name, []).append(_run(words, told))
            told["JUSTSTORAGE__DATA_DIR"] = str(place / "restored")
            for word in ("verify", "restore"):
                words = ["backup", word, str(place / "backup")]
                took.setdefault(f"backup {word}", []).append(_run(words, told))
        subprocess.run(["rm", "-rf", place], check=True)
    must = "must: >= 200 MB/s, <= 200 MiB"
    musts = {"import": must, "backup create": must}
    slower = (min(hashing, writing), "slower of both")
    return [
        Row("limit: SHA-256 of one core", [hashing], "MB/s"),
        Row("limit: one file written and synced", [writing], "MB/s"),
        *(
            Row(
                f"{name}, {moved / 1024 / _MIB:.2g} GiB",
                [moved / ran.spent_s / _MB for ran in all_],
                "MB/s",
                *((hashing, "SHA-256") if name == "backup verify" else slower),
                f"{musts.get(name, 'no goal')}; {max(ran.peak_mib for ran in all_):.0f} MiB",
            )
            for name, all_ in took.items()
        ),
    ]


def _watched(folder: Path, runs: int) -> list[Row]:
    """What a monitor and an operator ask a running service."""
    with Server(folder / "watched", workers=_WORKERS) as server:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/metrics", headers={"X-API-Key": server.key}
        )
        took = []
        for _ in range(_SCRAPES):
            started = time.perf_counter()
            with urllib.request.urlopen(request) as answer:
                size = len(answer.read())
            took.append((time.perf_counter() - started) * 1000)
        doctors = [_run(["doctor"], server.environment).spent_s for _ in range(runs)]
    return [
        Row(f"scrape of {_WORKERS} workers", took, "ms", note=f"must: <= 50; {size:,} bytes"),
        Row("doctor", doctors, "s", note="must: <= 3"),
    ]


def _fill(folder: Path, size: int) -> int:
    """Files of two sizes, no two alike, of `size` bytes together; how many these really are."""
    block = os.urandom(_LARGE)
    for number in range(max(1, (size - _SMALL * _SMALL_ONES) // _LARGE)):
        with (folder / f"large-{number}").open("wb") as file:
            file.write(number.to_bytes(8, "big"))
            file.write(block[8:])
    for number in range(_SMALL_ONES):
        (folder / f"small-{number}").write_bytes(os.urandom(_SMALL))
    return sum(path.stat().st_size for path in folder.iterdir())


def _run(words: Sequence[str], environment: dict[str, str]) -> _Ran:
    """Run one of our commands to its end; a failure ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("juststorage"), *words],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    peak_mib = 0.0
    # What the kernel says after the end includes what this process was when it forked.
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak_mib = max([peak_mib, *(int(kib) / 1024 for kib in _PEAK.findall(status))])
        time.sleep(0.005)
    if process.returncode:
        raise SystemExit(f"juststorage {' '.join(words)} ended with code {process.returncode}")
    return _Ran(time.perf_counter() - started, peak_mib)


if __name__ == "__main__":
    main()
