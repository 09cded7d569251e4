"""The service on PostgreSQL and local files, measured: `benchmarks/run`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.load import growth, large, rows, scale, small, starts
from benchmarks.load.database import running_database
from benchmarks.load.peer import running_peer
from benchmarks.load.report import HEADING, Report, Row, line
from benchmarks.load.server import Server
from benchmarks.load.versions import filesystem, versions
from benchmarks.load.yardsticks import running_yardsticks

__all__ = ["main"]

_FILLED = 1000
_PARTS = ["small", "large", "crowd", "start", "scale", "growth"]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument(
        "--short",
        action="store_true",
        help="to see that it works, in 2 to 3 minutes",
    )
    parser.add_argument("--workers", type=int, action="append", help="default: 1, then 2; short: 1")
    parser.add_argument(
        "--only",
        action="append",
        choices=_PARTS,
        help="these parts instead of all; can be given several times",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--pictures", type=Path, help="draw how figures grow, into this folder")
    parser.add_argument("--objects-max", type=int, default=1_000_000, help="of growth and scale")
    arguments = parser.parse_args()
    effort = rows.SHORT if arguments.short else rows.FULL
    parts = arguments.only or _PARTS
    report = Report.begin()
    for name, version in versions().items():
        report.note(name, version)
    with tempfile.TemporaryDirectory(prefix="juststorage-bench-") as folder:
        report.note("data on", filesystem(Path(folder)))
        for workers in arguments.workers or ([1] if arguments.short else [1, 2]):
            told = f"{workers} worker" + ("s" if workers > 1 else "")
            if {"small", "large", "crowd"} & set(parts):
                measured = _measured(Path(folder) / str(workers), effort, workers, parts, report)
                _tell(report, told, measured, arguments.json)
        if "start" in parts:
            starting = starts.measure(Path(folder) / "start", effort.runs)
            _tell(report, "start", starting, arguments.json)
        if "scale" in parts:
            most = 4_000 if arguments.short else arguments.objects_max
            growing = scale.measure(Path(folder) / "scale", most, effort)
            _tell(report, "stored objects", growing, arguments.json)
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
        report.write(arguments.json)
    if report.is_void:
        sys.exit("a request failed: what is marked as void means nothing")


def _tell(report: Report, section: str, measured: Iterator[Row], path: Path | None) -> None:
    print(f"## {section}\n\n{HEADING}", flush=True)
    for row in measured:
        report.add(section, row)
        print(line(row), flush=True)
        # An hour that breaks off has kept what it found.
        report.write(path)
    print(flush=True)


def _measured(
    folder: Path, effort: rows.Effort, workers: int, parts: list[str], report: Report
) -> Iterator[Row]:
    """Each row as soon as it is known: an hour that is cut short has told what it found."""
    folder.mkdir()
    ids = folder / "ids"
    with ExitStack() as stack:
        # Not only at the end: what two runs store may be more than the disk takes.
        stack.callback(shutil.rmtree, folder)
        database = stack.enter_context(running_database())
        report.note("PostgreSQL", database.facts())
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=large.memory())))
        against = stack.enter_context(
            running_yardsticks(
                folder / "limits", database, seconds=effort.seconds, size=effort.large
            )
        )
        environment = database.environment()
        fresh = partial(Server, folder / "data", workers=workers, environment=environment)
        idle = []
        for _ in range(effort.runs):
            with fresh() as server:
                idle.append(server.rss_mib())
        yield Row("RSS of a worker, idle", idle, "MiB", note="must: <= 120")
        server = stack.enter_context(fresh())
        small.fill(server, _FILLED, ids)
        database.add(effort.objects - _FILLED, sharing=True)
        database.write_ids(ids, effort.objects, stored=True)
        # Beside one worker only: it is the same with two.
        other = stack.enter_context(running_peer(folder / "peer")) if workers == 1 else None
        rig = rows.Rig(server, database, ids, against, other, fresh)
        if "small" in parts:
            yield from rows.smalls(rig, effort)
        (memory / "quarter").mkdir()
        sources = (
            large.source(memory, effort.large),
            large.source(memory / "quarter", effort.large // 4),
        )
        if "large" in parts:
            yield from rows.larges(rig, sources, effort)
        if "crowd" in parts:
            database.write_ids(ids, _FILLED, stored=True)
            yield from rows.crowds(rig, sources, effort)
        yield from against.rows()


if __name__ == "__main__":
    main()
