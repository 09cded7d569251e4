"""The embedded default, measured: `benchmarks/embedded`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks.load import large, limits, small
from benchmarks.load.report import Row, table
from benchmarks.load.server import Server
from benchmarks.load.starts import help_s

__all__ = ["main"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks/embedded")
    parser.add_argument("--short", action="store_true", help="half a minute, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="juststorage-bench-") as folder:
        rows = _measure(Path(folder), short=arguments.short, workers=arguments.workers)
    print(table(rows))
    if arguments.json:
        figures = [{**row._asdict(), "median": row.median} for row in rows]
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _measure(folder: Path, *, short: bool, workers: int) -> list[Row]:
    runs, seconds, size = (1, 2, 64 * 2**20) if short else (3, 8, 2**30)
    raw = folder / "raw"
    raw.mkdir()
    sha = limits.sha256_mb_s(1)
    writing = limits.write_mb_s(raw, size)
    syncs = {n: limits.syncs_per_s(raw / _made(raw, n), n, seconds / 2) for n in (1, 8, 32)}
    bare = limits.bare_asgi_per_s(max(2, seconds // 2))
    rows = [
        Row("limit: SHA-256, one core", [sha], "MB/s"),
        Row("limit: write and fsync", [writing], "MB/s"),
        *(Row(f"limit: 4 KiB files made durable, {n} threads", [syncs[n]], "/s") for n in syncs),
        Row("limit: bare ASGI answer of 4 KiB", [bare], "/s"),
        Row("juststorage --help", [help_s() for _ in range(3)], "s", note="must: <= 0.25 s"),
    ]
    data = folder / "data"
    with Server(data, workers=workers) as server:
        rows.append(Row("serve to ready, first start", [server.ready_s], "s"))
    with Server(data, workers=workers) as server:
        rows.append(Row("serve to ready", [server.ready_s], "s", note="must: <= 1.5 s"))
        rows.append(Row("RSS, idle", [server.rss_mib()], "MiB"))
        rows += _small(server, folder, runs=runs, seconds=seconds, bare=bare, syncs=syncs[32])
        rows.append(Row("RSS after small requests", [server.rss_mib()], "MiB"))
        rows += _large(server, folder, runs=runs, size=size, slower=min(sha, writing))
    return rows


def _small(
    server: Server, folder: Path, *, runs: int, seconds: int, bare: float, syncs: float
) -> list[Row]:
    ids = folder / "ids"
    small.fill(server, 1000, ids)
    rows = []
    for what, name, limit, limit_name, must in (
        ("get", "GET 4 KiB", bare, "bare ASGI", "must: >= 9,000/s"),
        ("stored", "PUT 4 KiB, stored", bare, "bare ASGI", "must: >= 3,500/s"),
        ("new", "PUT 4 KiB, new", syncs, "durable files", "must: >= 1,800/s"),
        ("list", "list of 100", bare, "bare ASGI", ""),
    ):
        small.rate(server, what, seconds=1, ids=ids)  # warm-up
        taken = [small.rate(server, what, seconds=seconds, ids=ids) for _ in range(runs)]
        errors = sum(rate.errors for rate in taken)
        middle = sorted(taken)[len(taken) // 2]
        note = (
            f"{must} CPU {middle.cpu_s_per_1000:.3f} s/1,000; p50 {middle.p50_ms:.1f}, "
            f"p95 {middle.p95_ms:.1f}, p99 {middle.p99_ms:.1f} ms"
        )
        if errors:
            note = f"VOID: {errors} errors"
        rows.append(Row(name, [r.per_s for r in taken], "/s", limit, limit_name, note))
    return rows


def _large(server: Server, folder: Path, *, runs: int, size: int, slower: float) -> list[Row]:
    path = large.source(_memory_or(folder), size)
    try:
        up = [large.upload(server, path) for _ in range(runs)]
        down = [large.download(server, up[-1].object_ids, size) for _ in range(runs)]
    finally:
        path.unlink()
    mib = size // 2**20
    return [
        Row(
            f"upload {mib} MiB",
            [t.mb_s for t in up],
            "MB/s",
            slower,
            "slower of disk and SHA-256",
            f"must: >= 400 MB/s; CPU {up[-1].cpu_s:.2f} s; "
            f"RSS +{max(t.rss_growth_mib for t in up):.0f} MiB (<= 32)",
        ),
        Row(
            f"download {mib} MiB",
            [t.mb_s for t in down],
            "MB/s",
            note=f"must: >= 1,400 MB/s; CPU {down[-1].cpu_s:.2f} s; "
            f"RSS +{max(t.rss_growth_mib for t in down):.0f} MiB (<= 32)",
        ),
    ]


def _made(folder: Path, number: int) -> str:
    (folder / str(number)).mkdir()
    return str(number)


def _memory_or(folder: Path) -> Path:
    """Where the client's file costs the disk nothing, where there is such a place."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        return Path(tempfile.mkdtemp(dir=memory))
    return folder


if __name__ == "__main__":
    main()
