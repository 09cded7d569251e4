"""What the collector removes in a second, next to what the disk allows in the same run.

    python -m benchmarks.collector [--folder DIR] [--count N] [--metadata postgres sqlite]

Garbage on local files goes through a whole run of the collector: claimed, moved to the trash, its
rows deleted, its objects buried and forgotten, the trash purged. The limits are the bare system
calls for the same files (a rename and an unlink each), and the database alone (the same run over a
store that holds no files). Memory is that of the process, before the run and at its peak: it must
not grow with the garbage. Put the folder on the disk that counts.
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

from benchmarks.load.stores import TENANT, fill, metadata_sections, opened
from juststorage.domain import StorageClass
from juststorage.ports import BlobStore
from juststorage.runtime import Runtime
from juststorage.usecases import CollectGarbage, CollectionLimits, CollectionReport

SIZE_BYTES = 4096
DELETES = 1000
LIMITS = CollectionLimits(
    grace_s=0,
    trash_retention_s=0,
    tombstone_retention_s=0,
    run_blobs_max=10**9,
    scan_blobs_max=0,
)


def bare_calls_per_s(folder: Path, count: int) -> float:
    """Files renamed into another directory and unlinked there, by one thread."""
    source, target = folder / "bare", folder / "bare-trash"
    source.mkdir()
    target.mkdir()
    for number in range(count):
        (source / f"{number}").write_bytes(bytes(SIZE_BYTES))
    began = time.perf_counter()
    for number in range(count):
        os.rename(f"{source}/{number}", f"{target}/{number}")  # noqa: PTH104  the call alone
    for number in range(count):
        os.unlink(f"{target}/{number}")  # noqa: PTH108  the call alone
    return count / (time.perf_counter() - began)


async def make_garbage(runtime: Runtime, root: Path, count: int) -> None:
    """Objects that were stored and deleted."""
    ids = await fill(runtime, root, count, SIZE_BYTES)
    for begin in range(0, count, DELETES):
        await runtime.metadata.objects.delete_many(TENANT, ids[begin : begin + DELETES])


async def collected(runtime: Runtime, batch_size: int) -> tuple[CollectionReport, float]:
    """One run, and how long it took."""
    stores: dict[StorageClass, BlobStore] = dict(runtime.blobs)
    collect = CollectGarbage(
        runtime.metadata,
        stores,
        runtime.gc_policy,
        clock=runtime.clock,
        limits=_with_batch(batch_size),
    )
    began = time.perf_counter()
    report = await collect.run()
    return report, time.perf_counter() - began


def _with_batch(batch_size: int) -> CollectionLimits:
    fields = {name: getattr(LIMITS, name) for name in LIMITS.__struct_fields__}
    return CollectionLimits(**fields | {"batch_size": batch_size})


def peak_mib() -> float:
    """The most memory that the process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(
    kind: str, metadata: dict[str, Any], folder: Path, count: int, batch_size: int
) -> None:
    """Fill, collect, print."""
    async with opened(folder, metadata) as runtime:
        root = folder / "hot"
        await make_garbage(runtime, root, count)
        before, cpu = peak_mib(), time.process_time()
        report, took = await collected(runtime, batch_size)
        cpu = time.process_time() - cpu
        assert report.removed == report.purged == count, report
        assert report.errors == 0, report
        print(
            f"{kind:9} {count:7} blobs {count / took:8,.0f}/s  {cpu / count * 1e6:5.0f} us CPU each"
            f"  memory {before:.0f} -> {peak_mib():.0f} MiB",
            flush=True,
        )
        await make_garbage(runtime, root, count)
        await anyio.to_thread.run_sync(_drop_files, root)
        report, took = await collected(runtime, batch_size)
        assert (report.removed, report.purged) == (count, 0), report
        print(f"{kind:9} the same without files {count / took:8,.0f}/s", flush=True)


def _drop_files(root: Path) -> None:
    for path in root.glob("??/??/*"):
        path.unlink()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=LIMITS.batch_size)
    parser.add_argument("--metadata", nargs="+", default=["postgres", "sqlite"])
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors at the start")
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as made,
        metadata_sections(arguments.metadata) as sections,
    ):
        rate = bare_calls_per_s(Path(made), arguments.count)
        print(f"limit: rename and unlink, one thread {rate:8,.0f}/s", flush=True)
        for kind, section in sections.items():
            folder = Path(made) / kind
            folder.mkdir()
            anyio.run(
                partial(measure, kind, section, folder, arguments.count, arguments.batch_size)
            )
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
