"""The rows of `benchmarks/run`: each figure next to the limit of its kind, taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.load import crowd, large, peer, small
from benchmarks.load.database import Database
from benchmarks.load.kept import kept_in_memory
from benchmarks.load.peer import Peer
from benchmarks.load.report import Row
from benchmarks.load.server import Server
from benchmarks.load.turns import in_order
from benchmarks.load.yardsticks import Yardstick, Yardsticks

__all__ = ["FULL", "SHORT", "Effort", "Rig", "crowds", "larges", "smalls"]

MIB = 2**20


class Effort(NamedTuple):
    """How much is measured."""

    runs: int
    seconds: float
    large: int
    """Bytes of the one large body; four at once have a quarter each."""
    objects: int
    """In the namespace that is listed and downloaded from."""
    many: int
    """Large uploads at once."""
    readers: int
    garbage: int
    contents: int
    """Small ones, that take more than what a worker remembers of them."""
    turns: int
    """Of what clients cost each other: a p99 has a wider spread than a rate."""

    @property
    def warms_up(self) -> bool:
        """Whether what is measured is done once before; one run is only to see that it works."""
        return self.runs > 1

    @property
    def numbers(self) -> range:
        """Of the turns from 1 on, and 0 for what is done before them and does not count."""
        return range(0 if self.warms_up else 1, self.runs + 1)


FULL = Effort(3, 5, 1024 * MIB, 10_000, 16, 200, 45_000, 18_000, 5)
SHORT = Effort(1, 1, 64 * MIB, 1_000, 4, 50, 8_000, 500, 1)


class Rig(NamedTuple):
    """What is measured, and what it is compared with."""

    server: Server
    database: Database
    ids: Path
    """Of objects that can be downloaded."""
    against: Yardsticks
    other: Peer | None
    fresh: Callable[[], Server]
    """Another server of the same service, to be entered, in which nothing has been done yet."""


class _Small(NamedTuple):
    what: str
    name: str
    must: str
    clients: int = 32


# Each goal as a rate, and as its share of the limit beside it on the machine for which goals were
# set: there pgbench selects 43,600 and inserts 19,700 rows a second, and 8 threads make 8,150 files
# durable.
_SMALL = (
    _Small("get", "GET 4 KiB", "must: >= 0.28 of it (12,000/s), <= 0.13 CPU s with the database"),
    _Small("head", "HEAD", "must: >= GET"),
    _Small("unchanged", "GET, not modified", "must: >= GET"),
    _Small("list", "list of 100", "must: >= 0.057 of it (2,500/s)", clients=8),
    _Small("pages", "list of 93 to 100, no two alike", "must: >= 0.057 of it (2,500/s)", clients=8),
    _Small("stored", "PUT 4 KiB, stored", "must: >= 0.25 of it (5,000/s)"),
    _Small("new", "PUT 4 KiB, new", "must: >= 0.34 of it (2,800/s), and twice MinIO"),
    _Small("delete", "DELETE", "must: >= 0.25 of it (5,000/s)"),
)
_DELETES_PER_S = 15_000
_SETTLED_S = 0.5
"""A file that has changed just now is hashed each time that it is sent: docs/adr/0026."""
_HOTTEST = {"get", "stored", "new"}
_AS_GET = {"head", "unchanged"}
"""What may cost no more than a download."""


def smalls(rig: Rig, effort: Effort) -> Iterator[Row]:
    """Small requests of every kind."""
    server, database, ids = rig.server, rig.database, rig.ids
    against, other = rig.against, rig.other
    peaks: dict[str, float] = {}
    get = partial(small.rate, server, "get", seconds=effort.seconds, ids=ids)
    gets = Yardstick("GET 4 KiB", "/s", lambda: get().per_s)
    for kind in _SMALL:
        doomed = ids.with_name("doomed")
        server.forget_peak()
        yardstick = gets if kind.what in _AS_GET else against.of[kind.what]
        rates, limits, others = [], [], []
        for number in effort.numbers:
            seconds = effort.seconds if number else 1
            if kind.what == "delete":
                count = round(seconds * _DELETES_PER_S)
                database.add(count, sharing=False)
                database.write_ids(doomed, count, stored=False)
            turn: list[Callable[[], Any]] = [
                partial(
                    small.rate,
                    server,
                    kind.what,
                    seconds=seconds,
                    clients=kind.clients,
                    ids=doomed if kind.what == "delete" else ids,
                    database=database,
                )
            ]
            if other:
                turn.append(partial(other.rate, kind.what, seconds=seconds, clients=kind.clients))
            if not number:
                in_order(turn, number)
                continue  # warm-up, of both
            limit, rate, *rest = in_order([yardstick.take, *turn], number)
            rates.append(rate)
            limits.append(limit)
            others += [theirs for theirs in rest if theirs]
            for one in against.others.get(kind.what, ()):
                one.take()
        yield _row(kind.name, rates, (limits, yardstick.name), kind.must)
        if kind.what in _HOTTEST:
            yield _cost_row(kind, rates)
        if others:
            ours = [rate.per_s for rate in rates]
            yield _row(f"{kind.name}: {peer.NAME}", others, (ours, "ours"), "a peer")
        peaks[kind.name] = server.rss_mib("VmHWM")
    highest = max(peaks, key=lambda name: peaks[name])
    note = f"must: <= 180; the highest peak, that of {highest}"
    yield Row("RSS under small requests", [peaks[highest]], "MiB", note=note)
    yield _rss_full(rig, effort)


def _rss_full(rig: Rig, effort: Effort) -> Row:
    """Of a worker that has downloaded more small contents than it remembers."""
    peaks, errors = [], 0
    many = rig.ids.with_name("many")
    small.fill(rig.server, effort.contents, many)
    for _ in range(effort.runs):
        with rig.fresh() as server:
            errors += small.rate(server, "get", seconds=2 * effort.seconds, ids=many).errors
            peaks.append(server.rss_mib("VmHWM"))
    note = f"must: <= 180; of {effort.contents:,} contents; the highest {max(peaks):.1f}"
    if errors:
        note = f"VOID: {errors} errors"
    return Row("RSS under GET 4 KiB, all of its cache in use", peaks, "MiB", note=note)


def _cost_row(kind: _Small, rates: list[small.Rate]) -> Row:
    """What release notes keep: processor time tells more of the code, and less of the machine."""
    costs = [rate.cpu_s_per_1000 + rate.database_cpu_s_per_1000 for rate in rates]
    return Row(f"{kind.name}, CPU for 1,000", costs, "s", note="service and database")


def _row(name: str, rates: list[small.Rate], limit: tuple[list[float], str], must: str) -> Row:
    errors = sum(rate.errors for rate in rates)
    middle = sorted(rates)[len(rates) // 2]
    note = (
        f"{must}; CPU s per 1,000: service {middle.cpu_s_per_1000:.3f}, database"
        f" {middle.database_cpu_s_per_1000:.3f}, client {middle.client_cpu_s_per_1000:.3f};"
        f" p50 {middle.p50_ms:.1f}, p95 {middle.p95_ms:.1f}, p99 {middle.p99_ms:.1f} ms"
    )
    if errors:
        note = f"VOID: {errors} errors"
    limits, what = limit
    figures = [rate.per_s for rate in rates]
    details = middle._asdict()
    return Row(name, figures, "/s", statistics.median(limits), what, note, limits, details)


def larges(rig: Rig, sources: tuple[Path, Path], effort: Effort) -> Iterator[Row]:
    """Large bodies up and down, one client and four; `sources` are the files that they send."""
    for clients, source in zip((1, 4), sources, strict=True):
        stored = _Stored()
        yield from _uploads(rig, source, clients, effort, stored)
        yield from _downloads(rig, source.stat().st_size, stored, effort)
        if rig.other is not None:
            rig.other.forget(stored.all_theirs)


@dataclass
class _Stored:
    """What was uploaded last, by both services, and all that has to be removed again."""

    ours: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)
    all_theirs: list[str] = field(default_factory=list)


def _uploads(
    rig: Rig, source: Path, clients: int, effort: Effort, stored: _Stored
) -> Iterator[Row]:
    """Next to both ways of writing, in turns; and the first download of each."""
    server, against, other = rig.server, rig.against, rig.other
    size = source.stat().st_size
    mib = f"{clients} x {size // MIB} MiB"
    turn: list[Callable[[], Any]] = [partial(large.upload, server, source, clients=clients)]
    if other is not None:
        turn.append(partial(other.upload, source, clients=clients))
    up, first, theirs, disk, direct = [], [], [], [], []
    for number in effort.numbers:
        limits = [against.disks.cached.take, against.disks.direct.take] if number else []
        moved, *rest = in_order([*turn, *limits], number)
        stored.ours = moved.object_ids
        if other is not None:
            mb_s, stored.theirs = rest.pop(0)
            stored.all_theirs += stored.theirs
        if not number:
            continue  # warm-up
        up.append(moved)
        disk.append(rest[0])
        direct.append(rest[1])
        if other is not None:
            theirs.append(mb_s)
        time.sleep(_SETTLED_S)
        first.append(large.download(server, moved.object_ids, size))
    yield _moved(f"PUT {mib}", up, disk, against.disks.cached.name, "must: >= 0.9 of it")
    yield _moved(
        f"PUT {mib}, next to direct writes", up, direct, against.disks.direct.name, "the same runs"
    )
    if theirs:
        yield _theirs(f"PUT {mib}", theirs, up)
    note = "from the disk, and hashed while it is sent"
    yield _moved(f"GET {mib}, for the first time", first, [], "", note)


def _downloads(rig: Rig, size: int, stored: _Stored, effort: Effort) -> Iterator[Row]:
    """From memory, as it was sent before, for whoever sends it."""
    server, against, other = rig.server, rig.against, rig.other
    clients = len(stored.ours)
    turn: list[Callable[[], Any]] = [partial(large.download, server, stored.ours, size)]
    if other is not None:
        turn.append(partial(other.download, stored.theirs, size))
    if clients in against.send:
        turn.append(against.send[clients].take)
    down, sent, theirs = [], [], []
    # Each worker hashes what it sends for the first time, and nobody can choose the worker.
    warm_ups = 1 if server.workers == 1 else 4 * server.workers
    folders = [path for path in server.data_dir.parent.iterdir() if path.is_dir()]
    with kept_in_memory(folders, size=size, newest=clients):
        for number in range(warm_ups + effort.runs):
            got, *rest = in_order(turn, number)
            if number < warm_ups:
                continue
            down.append(got)
            if other is not None:
                theirs.append(rest.pop(0))
            sent += rest
    mib = f"{clients} x {size // MIB} MiB"
    must = "must: >= 0.75 of it; from memory, as it was sent before"
    yield _moved(f"GET {mib}", down, sent, "nginx sendfile", must)
    if theirs:
        yield _theirs(f"GET {mib}", theirs, down)


def _moved(
    name: str, moved: list[large.Transfer], limits: list[float], limit_name: str, must: str
) -> Row:
    middle = sorted(moved)[len(moved) // 2]
    busy = (middle.cpu_s + middle.client_cpu_s) / middle.spent_s
    note = (
        f"{must}; CPU s: service {middle.cpu_s:.2f}, client {middle.client_cpu_s:.2f}: {busy:.2f}"
        f" processors busy, {middle.stolen:.1%} of all stolen;"
        f" RSS +{max(one.rss_growth_mib for one in moved):.0f} MiB"
    )
    limit = statistics.median(limits) if limits else 0.0
    details = {
        "cpu_s": middle.cpu_s,
        "client_cpu_s": middle.client_cpu_s,
        "spent_s": middle.spent_s,
        "stolen": middle.stolen,
        "rss_growth_mib": max(one.rss_growth_mib for one in moved),
    }
    figures = [one.mb_s for one in moved]
    return Row(name, figures, "MB/s", limit, limit_name, note, limits, details)


def _theirs(name: str, figures: list[float], ours: list[large.Transfer]) -> Row:
    limits = [one.mb_s for one in ours]
    middle = statistics.median(limits)
    return Row(f"{name}: {peer.NAME}", figures, "MB/s", middle, "ours", "a peer", limits)


def crowds(rig: Rig, sources: tuple[Path, Path], effort: Effort) -> Iterator[Row]:
    """What others cost a small download, and what many cost in memory."""
    (whole, quarter), runs = sources, effort.runs
    moved = large.upload(rig.server, whole)
    gets = crowd.Gets(rig.server, rig.database, rig.ids, effort.seconds)
    yield from crowd.among_uploads(gets, quarter, runs=effort.turns)
    yield from crowd.among_collections(gets, runs=effort.turns, garbage=effort.garbage)
    yield crowd.slow_readers(
        rig.fresh,
        moved.object_ids[0],
        readers=effort.readers,
        seconds=max(2, effort.seconds),
        runs=runs,
    )
    yield crowd.many_uploads(rig.fresh, whole, clients=effort.many, runs=runs)
