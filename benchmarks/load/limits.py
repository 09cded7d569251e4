"""What the machine can do, whatever the service does: the limits that figures are compared with."""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = [
    "bare_asgi_per_s",
    "interpreted_per_s",
    "sha256_mb_s",
    "syncs_per_s",
    "write_directly_mb_s",
    "write_mb_s",
]

MB = 1_000_000
_ROUNDS = 10_000


def sha256_mb_s(seconds: float) -> float:
    """SHA-256 on one core, MB/s."""
    block = os.urandom(1024 * 1024)
    state, hashed, started = hashlib.sha256(), 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        state.update(block)
        hashed += len(block)
    return hashed / spent / MB


def interpreted_per_s(seconds: float) -> float:
    """Rounds per second of a loop that only the interpreter works on, on one core.

    It tells builds of Python apart, and a host's good minutes from its bad ones.
    """
    kept: dict[int, str] = {}
    rounds, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        for number in range(_ROUNDS):
            kept[number & 255] = str(number)
        rounds += _ROUNDS
    return rounds / spent


def write_mb_s(folder: Path, size: int) -> float:
    """Write one file in order and sync it, MB/s."""
    block, path = os.urandom(1024 * 1024), folder / "sequential"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size // len(block)):
            file.write(block)
        os.fsync(file.fileno())
    spent = time.perf_counter() - started
    path.unlink()
    return size / spent / MB


def write_directly_mb_s(folder: Path, size: int) -> float:
    """The same past the page cache, MB/s; 0 where the filesystem does not have that."""
    path = folder / "direct"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT, 0o600)
    except OSError:
        return 0.0
    try:
        with mmap.mmap(-1, 1024 * 1024) as block:  # aligned to a page
            block.write(os.urandom(len(block)))
            started = time.perf_counter()
            for _ in range(size // len(block)):
                os.write(file, block)
            os.fsync(file)
            spent = time.perf_counter() - started
    finally:
        os.close(file)
        path.unlink()
    return size / spent / MB


def syncs_per_s(folder: Path, threads: int, seconds: float) -> float:
    """4 KiB files per second, each written, synced, renamed, and its directory synced."""
    data = os.urandom(4096)

    def work(number: int) -> int:
        mine = Path(tempfile.mkdtemp(dir=folder))
        directory = os.open(mine, os.O_RDONLY | os.O_DIRECTORY)
        done = 0
        while time.perf_counter() < deadline:
            staged, final = mine / "staged", mine / str(done)
            file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, data)
            os.fsync(file)
            os.close(file)
            staged.rename(final)
            os.fsync(directory)
            done += 1
        os.close(directory)
        return done

    deadline = time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / seconds


def bare_asgi_per_s(seconds: int) -> float:
    """GETs per second of an application that answers 4 KiB from memory, on the same server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.load.bare", str(port)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        out = subprocess.run(
            ["wrk", "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    finally:
        server.terminate()
        server.wait()
    [line] = [line for line in out.splitlines() if line.startswith("Requests/sec")]
    return float(line.split()[1])
