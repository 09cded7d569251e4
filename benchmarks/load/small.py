"""Many small requests at once, through wrk."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks.load.server import Server

__all__ = ["Rate", "fill", "rate"]


class Rate(NamedTuple):
    """One measurement of many small requests; latencies in milliseconds."""

    per_s: float
    cpu_s_per_1000: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int


def fill(server: Server, count: int, ids: Path) -> None:
    """Upload `count` objects of 4 KiB and write their ids to a file, one a line."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    found = []
    for number in range(count):
        body = f"fill-{number}-".encode().ljust(4096, b"x")
        target = "/v1/objects?namespace=bench&tenant_id=bench"
        connection.request("POST", target, body, {"X-API-Key": server.key})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status == 201, document
        found.append(document["id"])
    connection.close()
    ids.write_text("\n".join(found) + "\n")


def rate(server: Server, what: str, *, seconds: int, clients: int = 32, ids: Path) -> Rate:
    """`what` is get, new, stored or list: see request.lua."""
    cpu = server.cpu_s()
    out = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds}s",
            "-s",
            Path(__file__).with_name("request.lua"),
            f"http://127.0.0.1:{server.port}",
            "--",
            what,
            server.key,
            os.urandom(6).hex(),
            str(ids),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    [line] = [line for line in out.splitlines() if line.startswith("RESULT")]
    requests, micros, errors, p50, p95, p99 = (int(part) for part in line.split()[1:])
    return Rate(
        per_s=requests / micros * 1e6,
        cpu_s_per_1000=(server.cpu_s() - cpu) / requests * 1000,
        p50_ms=p50 / 1000,
        p95_ms=p95 / 1000,
        p99_ms=p99 / 1000,
        errors=errors,
    )
