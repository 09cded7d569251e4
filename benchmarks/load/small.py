"""Many small requests at once, through wrk."""

from __future__ import annotations

import http.client
import json
import os
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.load.database import Database
from benchmarks.load.heads import answer_times
from benchmarks.load.server import Server

__all__ = ["Measured", "Rate", "client_cpu_s", "fill", "rate", "wrk"]


_FILLING: Final = 16
"""Clients at once: their uploads share statements and syncs."""


class Rate(NamedTuple):
    """One measurement of many small requests; latencies in milliseconds, processor time in seconds.

    The rate is first, so that measurements sort by it.
    """

    per_s: float
    cpu_s_per_1000: float
    database_cpu_s_per_1000: float
    client_cpu_s_per_1000: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int


def fill(server: Server, count: int, ids: Path) -> None:
    """Upload `count` objects of 4 KiB and write their ids to a file, one a line."""
    numbers = [range(first, count, _FILLING) for first in range(_FILLING)]
    with ThreadPoolExecutor(_FILLING) as threads:
        found = threads.map(partial(_uploaded, server), numbers)
        ids.write_text("".join(f"{object_id}\n" for several in found for object_id in several))


def _uploaded(server: Server, numbers: range) -> list[str]:
    """One after the other; their ids."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    found = []
    for number in numbers:
        body = f"fill-{number}-".encode().ljust(4096, b"x")
        target = "/v1/objects?namespace=bench&tenant_id=bench"
        connection.request("POST", target, body, {"X-API-Key": server.key})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status == 201, document
        found.append(document["id"])
    connection.close()
    return found


def rate(
    server: Server,
    what: str,
    *,
    seconds: float,
    clients: int = 32,
    ids: Path,
    database: Database | None = None,
    pause_ms: int = 0,
) -> Rate:
    """Measure one kind of request.

    Args:
        server: Who answers.
        what: One of the kinds of request.lua.
        seconds: For how long; a `delete` ends when no id is left.
        clients: Connections, each with one request under way.
        ids: Object ids, one a line.
        database: Where the service keeps its metadata, for its processor time.
        pause_ms: How long each connection waits between an answer and its next request.
    """
    cpu, theirs, own = server.cpu_s(), _cpu_s(database), client_cpu_s()
    if what == "head":
        measured = _heads(server, ids, clients, seconds)
    else:
        arguments = (what, server.key, os.urandom(6).hex(), ids, str(pause_ms))
        measured = wrk(server.port, clients, seconds, "request.lua", *arguments)
    cpu, theirs, own = server.cpu_s() - cpu, _cpu_s(database) - theirs, client_cpu_s() - own
    return measured.rate(cpu, theirs, own)


class Measured(NamedTuple):
    """What a client has seen of many small requests."""

    requests: int
    spent_s: float
    errors: int
    percentiles_ms: tuple[float, float, float]
    """p50, p95, p99."""

    def rate(self, cpu_s: float, database_cpu_s: float, client_cpu_s: float) -> Rate:
        """With what it cost: processor seconds of all requests together."""
        thousands = self.requests / 1000
        return Rate(
            self.requests / self.spent_s,
            cpu_s / thousands,
            database_cpu_s / thousands,
            client_cpu_s / thousands,
            *self.percentiles_ms,
            self.errors,
        )


def wrk(port: int, clients: int, seconds: float, script: str, *arguments: str | Path) -> Measured:
    """Put a load on a server of this machine.

    Args:
        port: Where it listens.
        clients: Connections, each with one request under way.
        seconds: For how long.
        script: A file beside this one, which says what is asked.
        arguments: Those of the script.
    """
    command = ("wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s")
    path = Path(__file__).with_name(script)
    out = subprocess.run(
        [*command, "-s", path, f"http://127.0.0.1:{port}", "--", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    [line] = [line for line in out.splitlines() if line.startswith("RESULT")]
    requests, micros, errors, p50, p95, p99 = (int(part) for part in line.split()[1:])
    if not requests:
        raise SystemExit(f"no answer to {arguments[0]}: {out}")
    return Measured(requests, micros / 1e6, errors, (p50 / 1e3, p95 / 1e3, p99 / 1e3))


def _heads(server: Server, ids: Path, clients: int, seconds: float) -> Measured:
    took, errors = answer_times(server, ids, clients=clients, seconds=seconds)
    took.sort()
    p50, p95, p99 = (took[len(took) * part // 100] * 1e3 for part in (50, 95, 99))
    return Measured(len(took), seconds, errors, (p50, p95, p99))


def _cpu_s(database: Database | None) -> float:
    return 0.0 if database is None else database.cpu_s()


def client_cpu_s() -> float:
    """Of this process, and of its children that have ended: of wrk, once it has."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
