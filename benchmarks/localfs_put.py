"""Small durable uploads of localfs, against what the disk allows in the same run.

    python -m benchmarks.localfs_put [--dir DIR] [--count N] [--concurrency N ...]

Prints, for each number of concurrent uploads of distinct 4 KiB contents, puts a second, CPU and
latency of the store as it chooses by itself, of the store that syncs every file, and of the bare
system calls (write, fsync, rename, fsync of the directory) in plain threads. Figures of different
machines do not compare; their ratios do.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import anyio

from juststorage.domain import ContentHash, ObjectId, StorageClass
from juststorage.testing import open_context
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs.plugin import LocalFSOptions

BODY_BYTES = 4096
RAW_THREADS = 8


class EachFile(FsOps):
    """As on a system that cannot sync a whole volume."""

    can_sync_volume = False


@contextmanager
def timed(name: str, concurrency: int, count: int, latencies_s: list[float]) -> Iterator[None]:
    """Print the line of one measurement."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    yield
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    line = f"{name:22} {concurrency:4} {count / took_s:8.0f}/s {cpu_s / count * 1e6:6.0f} us CPU"
    if latencies_s:
        latencies_s.sort()
        p50_s, p99_s = latencies_s[len(latencies_s) // 2], latencies_s[len(latencies_s) * 99 // 100]
        line += f"   p50 {p50_s * 1e3:6.1f} ms   p99 {p99_s * 1e3:6.1f} ms"
    print(line, flush=True)


def sync_directory(path: str) -> None:
    """Make the names in it durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def raw_put(root: str, number: int) -> None:
    """What an upload comes down to, in a directory that is there already."""
    name = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    staged, folder = f"{root}/{name}", f"{root}/{name[:2]}"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(fd, os.urandom(BODY_BYTES))
    os.fsync(fd)
    os.close(fd)
    os.rename(staged, f"{folder}/{name}")  # noqa: PTH104  what is measured is the call alone
    sync_directory(folder)


def raw(root: Path, concurrency: int, count: int) -> None:
    """The limit: no hashing, no event loop, no new directories."""
    threads = min(RAW_THREADS, concurrency)
    for number in range(256):
        (root / f"{number:02x}").mkdir()
    os.sync()
    with ThreadPoolExecutor(threads) as pool, timed("system calls", threads, count, []):
        for done in [pool.submit(raw_put, str(root), number) for number in range(count)]:
            done.result()


async def store(name: str, root: Path, ops: FsOps, concurrency: int, count: int) -> None:
    """The store, as an application uses it; hashing is part of the time."""
    latencies_s: list[float] = []

    async def client() -> None:
        for _ in range(count // concurrency):
            body = os.urandom(BODY_BYTES)
            content_hash = ContentHash.of("sha256", hashlib.sha256(body).digest())
            began_s = time.perf_counter()
            await blobs.put(ObjectId.new(), content_hash, body)
            latencies_s.append(time.perf_counter() - began_s)

    options = LocalFSOptions(root=str(root))
    async with (
        open_context("blobs.hot", storage_class=StorageClass.HOT) as context,
        open_store(options, context, ops=ops) as blobs,
    ):
        with timed(name, concurrency, count // concurrency * concurrency, latencies_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(concurrency):
                    tasks.start_soon(client)


def main() -> None:
    """Measure, each in a directory of its own; the directories go when all is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=None, help="a directory on the disk to measure")
    parser.add_argument("--count", type=int, default=4000, help="uploads for each line")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32, 128])
    arguments = parser.parse_args()

    # Removing many files makes the next measurement slow where the filesystem discards at once.
    base = Path(tempfile.mkdtemp(prefix="juststorage-put-", dir=arguments.dir))
    made = (base / str(number) for number in range(10_000))

    def fresh() -> Path:
        root = next(made)
        root.mkdir()
        return root

    try:
        for concurrency in arguments.concurrency:
            count = min(arguments.count, 500 * concurrency)
            raw(fresh(), concurrency, count)
            kinds: list[tuple[str, Callable[[], FsOps]]] = [
                ("localfs", FsOps),
                ("localfs, each synced", EachFile),
            ]
            for name, kind in kinds:
                asyncio.run(store(name, fresh(), kind(), concurrency, count))
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
