"""How long `juststorage fsck` takes, next to what it cannot do without.

    python -m benchmarks.fsck [--folder DIR] [--objects N] [--metadata postgres sqlite]

A clean store of small objects, each with a key and a blob of its own, is audited, also with `deep`.
The limits are one `stat` and one read of each file, on one thread, in the same run. Memory is that
of the process, before and at its peak: it must not grow with the store.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from benchmarks.load.stores import fill, metadata_sections, opened
from juststorage.runtime import Runtime, make_auditor

SIZE_BYTES = 4096


def stat_and_read_s(root: Path) -> tuple[float, float]:
    """Seconds to look at every file, and to read every file."""
    paths = [os.fspath(path) for path in root.glob("??/??/*")]
    began = time.perf_counter()
    for path in paths:
        os.stat(path)  # noqa: PTH116  the call alone
    looked = time.perf_counter() - began
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.read(file, SIZE_BYTES)
        os.close(file)
    return looked, time.perf_counter() - began - looked


async def audit_s(runtime: Runtime, *, deep: bool) -> float:
    """Seconds of an audit that finds nothing."""
    auditor = make_auditor(runtime, deep=deep)
    began = time.perf_counter()
    found = [finding async for finding in auditor.findings()]
    assert found == [], found[:3]
    return time.perf_counter() - began


async def measure(kind: str, metadata: dict[str, Any], folder: Path, objects: int) -> None:
    """Fill, audit, print."""
    async with opened(folder, metadata) as runtime:
        await fill(runtime, folder / "hot", objects, SIZE_BYTES)
        looked, read = await anyio.to_thread.run_sync(stat_and_read_s, folder / "hot")
        before, cpu = _peak_mib(), time.process_time()
        took = await audit_s(runtime, deep=False)
        cpu = time.process_time() - cpu
        print(
            f"{kind:9} {objects:7} objects {took:6.1f} s  {cpu / objects * 1e6:5.0f} us CPU each"
            f"  (limit: {looked:.1f} s of stat)  memory {before:.0f} -> {_peak_mib():.0f} MiB",
            flush=True,
        )
        took = await audit_s(runtime, deep=True)
        print(
            f"{kind:9} the same, deep  {took:6.1f} s  (limit: {read:.1f} s of reading)", flush=True
        )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--metadata", nargs="+", default=["postgres", "sqlite"])
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors at the start")
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as made,
        metadata_sections(arguments.metadata) as sections,
    ):
        for kind, section in sections.items():
            folder = Path(made) / kind
            folder.mkdir()
            anyio.run(partial(measure, kind, section, folder, arguments.objects))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
