"""How figures grow: with clients, stored objects, the size of a body, and workers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.load import large, small
from benchmarks.load.database import Database, running_database
from benchmarks.load.report import Series
from benchmarks.load.rows import Effort
from benchmarks.load.server import Server

__all__ = ["measure"]

_FILLED = 1000
_KIB = 1024


def measure(folder: Path, effort: Effort, *, objects_max: int, short: bool) -> list[Series]:
    """Every series.

    Args:
        folder: For the service's data; must not exist.
        effort: How much is measured.
        objects_max: Stored objects at the end.
        short: Only the ends of each series.
    """
    folder.mkdir()
    clients = [1, 32] if short else [1, 2, 4, 8, 16, 32, 64, 128, 256]
    workers = [1, 2] if short else [1, 2, 3, 4]
    seconds = effort.seconds
    found = []
    with running_database() as database:
        environment = database.environment()
        ids = folder / "ids"
        with Server(folder / "data", workers=2, environment=environment) as server:
            small.fill(server, _FILLED, ids)
            found += _with_clients(server, ids, clients, seconds)
            found += _with_size(server, effort.large, short=short)
            found += _with_objects(server, database, ids, objects_max, seconds)
        small_ones = _with_workers(folder, database, ids, workers, seconds)
    return found + small_ones


def _rates(server: Server, ids: Path, seconds: float, clients: int = 32) -> dict[str, small.Rate]:
    kinds = {"get": "GET 4 KiB", "new": "PUT 4 KiB, new"}
    return {
        name: small.rate(server, kind, seconds=seconds, clients=clients, ids=ids)
        for kind, name in kinds.items()
    }


def _with_clients(server: Server, ids: Path, counts: list[int], seconds: float) -> list[Series]:
    taken = {count: _rates(server, ids, seconds, count) for count in counts}
    return [
        Series(
            f"{name}{told}",
            unit,
            "clients",
            [(count, getattr(rates[name], field)) for count, rates in taken.items()],
        )
        for name in taken[counts[0]]
        for told, field, unit in (("", "per_s", "/s"), (", p99", "p99_ms", "ms"))
    ]


def _with_size(server: Server, largest: int, *, short: bool) -> list[Series]:
    sizes = [_KIB]
    while sizes[-1] < largest:
        sizes.append(min(largest, sizes[-1] * (1024 if short else 8)))
    up, down, memory = [], [], []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = large.source(Path(folder), size)
            actual = source.stat().st_size
            sent = large.upload(server, source)
            got = large.download(server, sent.object_ids, actual)
        up.append((actual, sent.mb_s))
        down.append((actual, got.mb_s))
        memory.append((actual, max(sent.rss_growth_mib, got.rss_growth_mib)))
    along = "bytes of the body"
    return [
        Series("PUT of one body", "MB/s", along, up),
        Series("GET of one body", "MB/s", along, down),
        Series("RSS over idle", "MiB", along, memory),
    ]


def _with_objects(
    server: Server, database: Database, ids: Path, most: int, seconds: float
) -> list[Series]:
    counts, there = [_FILLED], _FILLED
    while counts[-1] < most:
        counts.append(counts[-1] * 10)
    points: dict[str, list[tuple[float, float]]] = {}
    for count in counts:
        if count > there:
            database.add(count - there, sharing=True)
            there = count
        database.write_ids(ids, 10_000, stored=True)
        for name, rate in _rates(server, ids, seconds).items():
            points.setdefault(name, []).append((count, rate.per_s))
    return [Series(name, "/s", "stored objects", found) for name, found in points.items()]


def _with_workers(
    folder: Path, database: Database, ids: Path, counts: list[int], seconds: float
) -> list[Series]:
    points: dict[str, list[tuple[float, float]]] = {}
    for count in counts:
        environment = database.environment()
        with Server(folder / "data", workers=count, environment=environment) as server:
            for name, rate in _rates(server, ids, seconds).items():
                points.setdefault(name, []).append((count, rate.per_s))
    return [Series(name, "/s", "workers", found) for name, found in points.items()]
