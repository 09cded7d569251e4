"""How figures grow: with clients, stored objects, the size of a body, and workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

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
    workers = [2] if short else [1, 2, 3, 4]
    measured: dict[str, _Measured] = {
        "objects": partial(_with_objects, effort, objects_max),
        "clients": partial(_with_clients, effort, clients),
        "sizes": partial(_with_size, effort, short),
        "workers": partial(_with_workers, effort, workers),
    }
    if short:
        return _on_a_database(folder / "all", *measured.values())
    # Each on a database of its own: what one of them stores would be in the way of the others.
    return [one for name, its in measured.items() for one in _on_a_database(folder / name, its)]


class _Rig(NamedTuple):
    """Where a series is measured."""

    folder: Path
    database: Database
    ids: Path
    """Of small objects that can be downloaded."""

    def server(self, workers: int = 2) -> Server:
        """The service; to be entered."""
        environment = self.database.environment()
        return Server(self.folder / "data", workers=workers, environment=environment)


_Measured: TypeAlias = Callable[[_Rig], list[Series]]


def _on_a_database(folder: Path, *measured: _Measured) -> list[Series]:
    folder.mkdir()
    with running_database() as database:
        rig = _Rig(folder, database, folder / "ids")
        with rig.server() as server:
            small.fill(server, _FILLED, rig.ids)
        return [one for its in measured for one in its(rig)]


def _rates(server: Server, ids: Path, effort: Effort, clients: int = 32) -> dict[str, small.Rate]:
    """The middle one of the runs of each kind, after one that does not count.

    Raises:
        SystemExit: A request failed, so that no figure means anything.
    """
    found = {}
    for kind, name in {"get": "GET 4 KiB", "new": "PUT 4 KiB, new"}.items():
        if effort.warms_up:
            small.rate(server, kind, seconds=1, clients=clients, ids=ids)
        rates = sorted(
            small.rate(server, kind, seconds=effort.seconds, clients=clients, ids=ids)
            for _ in range(effort.runs)
        )
        if any(rate.errors for rate in rates):
            raise SystemExit(f"void: requests failed while {name} was measured")
        found[name] = rates[len(rates) // 2]
    return found


def _with_clients(effort: Effort, counts: list[int], rig: _Rig) -> list[Series]:
    with rig.server() as server:
        taken = {count: _rates(server, rig.ids, effort, count) for count in counts}
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


def _with_size(effort: Effort, short: bool, rig: _Rig) -> list[Series]:
    sizes = [_KIB]
    while sizes[-1] < effort.large:
        sizes.append(min(effort.large, sizes[-1] * (1024 if short else 8)))
    up, down, memory = [], [], []
    with rig.server() as server, tempfile.TemporaryDirectory(dir=large.memory()) as folder:
        for size in sizes:
            source = large.source(Path(folder), size)
            actual = source.stat().st_size
            sent, got = [], []
            for number in effort.numbers:
                with large.passing(server):
                    its = large.upload(server, source)
                    # The first one of each: it is hashed while it is sent.
                    theirs = large.download(server, its.object_ids, actual)
                if number:  # after a warm-up
                    sent.append(its)
                    got.append(theirs)
            up.append((actual, sorted(sent)[len(sent) // 2].mb_s))
            down.append((actual, sorted(got)[len(got) // 2].mb_s))
            memory.append((actual, max(one.rss_growth_mib for one in (*sent, *got))))
    along = "bytes of the body"
    return [
        Series("PUT of one body", "MB/s", along, up),
        Series("GET of one body", "MB/s", along, down),
        Series("RSS over idle", "MiB", along, memory),
    ]


def _with_objects(effort: Effort, most: int, rig: _Rig) -> list[Series]:
    counts = [_FILLED]
    while counts[-1] < most:
        counts.append(counts[-1] * 10)
    points: dict[str, list[tuple[float, float]]] = {}
    memory: list[tuple[float, float]] = []
    for count in counts:
        # What was uploaded at the points before is among them.
        missing = count - rig.database.objects()
        if missing > 0:
            rig.database.add(missing, sharing=True)
        rig.database.write_ids(rig.ids, 10_000, stored=True)
        stored = rig.database.objects()
        with rig.server() as server:
            server.forget_peak()
            for name, rate in _rates(server, rig.ids, effort).items():
                points.setdefault(name, []).append((stored, rate.per_s))
            memory.append((stored, server.rss_mib("VmHWM")))
    along = "stored objects"
    rates = [Series(name, "/s", along, found) for name, found in points.items()]
    return [*rates, Series("RSS of a worker under small requests", "MiB", along, memory)]


def _with_workers(effort: Effort, counts: list[int], rig: _Rig) -> list[Series]:
    points: dict[str, list[tuple[float, float]]] = {}
    for count in counts:
        with rig.server(count) as server:
            for name, rate in _rates(server, rig.ids, effort).items():
                points.setdefault(name, []).append((count, rate.per_s))
    return [Series(name, "/s", "workers", found) for name, found in points.items()]
