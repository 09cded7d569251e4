"""The rows of `benchmarks/run`: each figure next to the limit of its kind, of the same run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import crowd, large, limits, pgbench, small
from benchmarks.load.database import Database
from benchmarks.load.nginx import running_nginx
from benchmarks.load.report import Row
from benchmarks.load.server import Server

__all__ = ["Effort", "Limits", "crowds", "larges", "measured_limits", "smalls"]

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


FULL = Effort(3, 5, 1024 * MIB, 10_000, 16, 200, 30_000)
SHORT = Effort(1, 1, 64 * MIB, 1_000, 4, 50, 2_000)


class Limits(NamedTuple):
    """What the machine can do by itself, in this run."""

    sha: float
    write: float
    syncs: dict[int, float]
    bare: float
    selects: float
    inserts: float
    send: dict[int, float]
    """Bytes of nginx by number of clients, MB/s; empty where there is no nginx."""

    def rows(self) -> list[Row]:
        """As rows of the table."""
        return [
            Row("limit: SHA-256 of one core", [self.sha], "MB/s"),
            Row("limit: one file written and synced", [self.write], "MB/s"),
            *(
                Row(f"limit: files of 4 KiB made durable, {threads} threads", [rate], "/s")
                for threads, rate in self.syncs.items()
            ),
            Row("limit: bare ASGI answers of 4 KiB", [self.bare], "/s"),
            *(
                Row(f"limit: nginx, {clients} client(s)", [rate], "MB/s")
                for clients, rate in self.send.items()
            ),
            *(
                Row(f"limit: pgbench, {what}", [rate], "/s")
                for what, rate in (("select", self.selects), ("insert", self.inserts))
                if not math.isnan(rate)
            ),
        ]


def measured_limits(folder: Path, database: Database, effort: Effort) -> Limits:
    """Measure them; `folder` is on the disk of the service and must not exist."""
    folder.mkdir()
    syncs = {}
    for threads in (1, 8, 32):
        (folder / str(threads)).mkdir()
        syncs[threads] = limits.syncs_per_s(folder / str(threads), threads, effort.seconds / 2)
    send = {}
    with running_nginx(folder / "nginx") as port:
        if port is not None:
            large.source(folder / "nginx/files", effort.large)
            (folder / "nginx/files/source").chmod(0o644)
            head = b"GET /source HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
            large.fetch_mb_s(port, [head], effort.large)  # warm-up
            for clients in (1, 4):
                rates = [
                    large.fetch_mb_s(port, [head] * clients, effort.large)
                    for _ in range(effort.runs)
                ]
                send[clients] = sorted(rates)[len(rates) // 2]
    return Limits(
        sha=limits.sha256_mb_s(1),
        write=limits.write_mb_s(folder, effort.large),
        syncs=syncs,
        bare=limits.bare_asgi_per_s(max(1, round(effort.seconds))),
        selects=pgbench.selects_per_s(database.server, effort.seconds),
        inserts=pgbench.inserts_per_s(database.server, folder, effort.seconds),
        send=send,
    )


class _Small(NamedTuple):
    what: str
    name: str
    must: str
    clients: int = 32


_SMALL = (
    _Small("get", "GET 4 KiB", "must: >= 12,000/s, <= 0.13 CPU s of service and database"),
    _Small("head", "HEAD", "must: >= GET"),
    _Small("unchanged", "GET, not modified", "must: >= GET"),
    _Small("list", "list of 100", "must: >= 2,500/s", clients=8),
    _Small("pages", "list of 93 to 100, no two alike", "no goal", clients=8),
    _Small("stored", "PUT 4 KiB, stored", "must: >= 5,000/s"),
    _Small("new", "PUT 4 KiB, new", "must: >= 2,800/s"),
    _Small("delete", "DELETE", "must: >= 5,000/s"),
)
_DELETES_PER_S = 15_000
_SETTLED_S = 0.5
"""A file that has changed just now is hashed each time that it is sent: docs/adr/0026."""
_HOTTEST = {"get", "stored", "new"}


def smalls(
    server: Server, database: Database, ids: Path, found: Limits, effort: Effort
) -> Iterator[Row]:
    """Small requests of every kind; `ids` names objects that can be downloaded."""
    limit = {
        "stored": (found.inserts, "pgbench, insert"),
        "new": (found.syncs[8], "durable files, 8 threads"),
        "delete": (found.inserts, "pgbench, insert"),
        "list": (found.selects, "pgbench, select"),
        "pages": (found.selects, "pgbench, select"),
    }
    for kind in _SMALL:
        doomed = ids.with_name("doomed")
        rates = []
        for number in range(effort.runs + 1):
            seconds = effort.seconds if number else 1
            if kind.what == "delete":
                count = round(seconds * _DELETES_PER_S)
                database.add(count, sharing=False)
                database.write_ids(doomed, count, stored=False)
            rates.append(
                small.rate(
                    server,
                    kind.what,
                    seconds=seconds,
                    clients=kind.clients,
                    ids=doomed if kind.what == "delete" else ids,
                    database=database,
                )
            )
        yield _row(kind, rates[1:], *limit.get(kind.what, (found.bare, "bare ASGI")))
        if kind.what in _HOTTEST:
            yield _cost_row(kind, rates[1:])


def _cost_row(kind: _Small, rates: list[small.Rate]) -> Row:
    """What release notes keep: processor time tells more of the code, and less of the machine."""
    costs = [rate.cpu_s_per_1000 + rate.database_cpu_s_per_1000 for rate in rates]
    return Row(f"{kind.name}, CPU for 1,000", costs, "s", note="service and database")


def _row(kind: _Small, rates: list[small.Rate], limit: float, limit_name: str) -> Row:
    errors = sum(rate.errors for rate in rates)
    middle = sorted(rates)[len(rates) // 2]
    note = (
        f"{kind.must}; CPU s per 1,000: service {middle.cpu_s_per_1000:.3f}, database"
        f" {middle.database_cpu_s_per_1000:.3f}, client {middle.client_cpu_s_per_1000:.3f};"
        f" p50 {middle.p50_ms:.1f}, p95 {middle.p95_ms:.1f}, p99 {middle.p99_ms:.1f} ms"
    )
    if errors:
        note = f"VOID: {errors} errors"
    limit = 0.0 if math.isnan(limit) else limit
    return Row(kind.name, [rate.per_s for rate in rates], "/s", limit, limit_name, note)


def larges(
    server: Server, sources: tuple[Path, Path], found: Limits, effort: Effort
) -> Iterator[Row]:
    """Large bodies up and down, one client and four; `sources` are the files that they send."""
    slower = min(found.sha, found.write)
    for clients, source in zip((1, 4), sources, strict=True):
        size = source.stat().st_size
        mib = f"{clients} x {size // MIB} MiB"
        up = [large.upload(server, source, clients=clients) for _ in range(effort.runs)]
        time.sleep(_SETTLED_S)
        large.download(server, up[-1].object_ids, size)  # warm-up
        down = [large.download(server, up[-1].object_ids, size) for _ in range(effort.runs)]
        yield Row(
            f"PUT {mib}",
            [moved.mb_s for moved in up],
            "MB/s",
            slower,
            "slower of disk and SHA-256",
            f"must: >= 0.9 of it; {_cost(up)}",
        )
        yield Row(
            f"GET {mib}",
            [moved.mb_s for moved in down],
            "MB/s",
            found.send.get(clients, 0.0),
            "nginx sendfile",
            f"must: >= 0.75 of it; {_cost(down)}",
        )


def _cost(moved: list[large.Transfer]) -> str:
    cpu = sorted(one.cpu_s for one in moved)[len(moved) // 2]
    return f"CPU {cpu:.2f} s, RSS +{max(one.rss_growth_mib for one in moved):.0f} MiB"


def crowds(
    server: Server,
    database: Database,
    ids: Path,
    sources: tuple[Path, Path],
    effort: Effort,
) -> Iterator[Row]:
    """What others cost a small download, and what many cost in memory."""
    (whole, quarter), seconds, runs = sources, effort.seconds, effort.runs
    moved = large.upload(server, whole)
    yield from crowd.among_uploads(server, ids, quarter, seconds=seconds, runs=runs)
    yield from crowd.among_collections(
        server, database, ids, seconds=seconds, runs=runs, garbage=effort.garbage
    )
    yield crowd.slow_readers(
        server, moved.object_ids[0], readers=effort.readers, seconds=max(2, effort.seconds)
    )
    yield crowd.many_uploads(server, whole, clients=effort.many)
