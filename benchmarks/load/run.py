"""The service on PostgreSQL and local files, measured: `benchmarks/run`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import growth, large, rows, small
from benchmarks.load.database import running_database
from benchmarks.load.report import HEADING, Report, Row, line
from benchmarks.load.server import Server

__all__ = ["main"]

_FILLED = 1000


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument(
        "--short", action="store_true", help="a minute or two, to see that it works"
    )
    parser.add_argument("--workers", type=int, action="append", help="default: 1, then 2")
    parser.add_argument(
        "--only",
        action="append",
        choices=["small", "large", "crowd", "growth"],
        help="these parts instead of all; can be given several times",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--pictures", type=Path, help="draw how figures grow, into this folder")
    parser.add_argument("--objects-max", type=int, default=1_000_000, help="of growth")
    arguments = parser.parse_args()
    effort = rows.SHORT if arguments.short else rows.FULL
    parts = arguments.only or ["small", "large", "crowd", "growth"]
    report = Report.begin()
    with tempfile.TemporaryDirectory(prefix="juststorage-bench-") as folder:
        for workers in arguments.workers or [1, 2]:
            told = f"{workers} worker" + ("s" if workers > 1 else "")
            print(f"## {told}\n\n{HEADING}", flush=True)
            for row in _measured(Path(folder) / str(workers), effort, workers, parts):
                report.add(told, row)
                print(line(row), flush=True)
            print(flush=True)
        if "growth" in parts:
            series = growth.measure(
                Path(folder) / "growth",
                effort,
                objects_max=1000 if arguments.short else arguments.objects_max,
                short=arguments.short,
            )
            report.series = series
            print(report.growth(), flush=True)
            if arguments.pictures:
                from benchmarks.load.pictures import draw

                draw(series, arguments.pictures)
        # Before what was stored is removed, which takes minutes.
        if arguments.json:
            arguments.json.write_text(report.json() + "\n")
    if report.is_void:
        sys.exit("a request failed: what is marked as void means nothing")


def _measured(folder: Path, effort: rows.Effort, workers: int, parts: list[str]) -> Iterator[Row]:
    """Each row as soon as it is known: an hour that is cut short has told what it found."""
    folder.mkdir()
    ids = folder / "ids"
    with running_database() as database, tempfile.TemporaryDirectory(dir=large.memory()) as memory:
        limits = rows.measured_limits(folder / "limits", database, effort)
        yield from limits.rows()
        with Server(folder / "data", workers=workers, environment=database.environment()) as server:
            yield Row("RSS of a worker, idle", [server.rss_mib()], "MiB", note="must: <= 120")
            small.fill(server, _FILLED, ids)
            database.add(effort.objects - _FILLED, sharing=True)
            database.write_ids(ids, effort.objects, stored=True)
            if "small" in parts:
                server.forget_peak()
                yield from rows.smalls(server, database, ids, limits, effort)
                peak = server.rss_mib("VmHWM")
                yield Row("RSS under small requests", [peak], "MiB", note="must: <= 180")
            (Path(memory) / "quarter").mkdir()
            sources = (
                large.source(Path(memory), effort.large),
                large.source(Path(memory) / "quarter", effort.large // 4),
            )
            if "large" in parts:
                yield from rows.larges(server, sources, limits, effort)
            if "crowd" in parts:
                database.write_ids(ids, _FILLED, stored=True)
                yield from rows.crowds(server, database, ids, sources, effort)


if __name__ == "__main__":
    main()
