"""What the statements of the PostgreSQL metadata store cost, against what the server can do.

    python -m benchmarks.postgres_statements [--seconds 3] [--clients 32]

Runs on a server of its own (see `juststorage_postgres.testing`) with fsync on. The limits are
measured in the same run with `pgbench`, where it is beside the server's binaries, and with raw
asyncpg, one statement a request: that is what gathering has to beat.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import secrets
import subprocess
import time
from collections.abc import Awaitable, Callable

import asyncpg  # type: ignore[import-untyped]

from benchmarks.load.database import server_cpu_s
from juststorage.domain import ContentHash, Namespace, NewObject, ObjectId, ObjectKey, TenantId
from juststorage.plugins import Secret
from juststorage.ports import Committed, Content, MetadataStore, UploadIntent
from juststorage.testing import open_backend
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)

TENANT = TenantId("bench")
NAMESPACE = Namespace("objects")


def _new_content() -> Content:
    return Content(ContentHash(f"sha256:{secrets.token_hex(32)}"), 4096)


def _intent(key: str | None, *, replace: bool = False) -> UploadIntent:
    return UploadIntent(
        new=NewObject(
            id=ObjectId.new(),
            namespace=NAMESPACE,
            tenant_id=TENANT,
            key=None if key is None else ObjectKey(key),
        ),
        replace=replace,
    )


class Meter:
    """Runs one kind of request from many clients for a while, and prints what it came to."""

    def __init__(self, clients: int, seconds: float, server: LocalServer) -> None:
        self._clients = clients
        self._seconds = seconds
        self._server = server

    async def run(self, name: str, request: Callable[[int], Awaitable[object]]) -> float:
        """Requests per second."""
        done = 0
        waits: list[float] = []
        until = time.perf_counter() + self._seconds

        async def client(number: int) -> None:
            nonlocal done
            while (begun := time.perf_counter()) < until:
                try:
                    await request(number)
                except StopIteration:
                    return  # nothing is left to do it to
                waits.append(time.perf_counter() - begun)
                done += 1

        own, theirs = _own_cpu_s(), server_cpu_s(self._server)
        started = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(self._clients)))
        rate = done / (time.perf_counter() - started)
        own, theirs = _own_cpu_s() - own, server_cpu_s(self._server) - theirs
        waits.sort()
        p50, p99 = waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3
        print(
            f"{name:44} {rate:9,.0f}/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
            f"  CPU us each: {own / done * 1e6:5.0f} + {theirs / done * 1e6:5.0f}",
            flush=True,
        )
        return rate


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _store_new(store: MetadataStore, intent: UploadIntent, content: Content) -> Committed:
    reserved = await store.objects.begin_reserved(intent, content, lease_s=600)
    if isinstance(reserved, Committed):
        return reserved
    return await store.objects.commit(reserved.lease, f"hot/{content.content_hash}")


async def _measure_store(url: str, meter: Meter) -> None:
    async with open_backend(POSTGRES, PostgresOptions(url=Secret(url))) as store:
        stored: list[ObjectId] = []
        keys: list[ObjectKey] = []

        async def upload_new(number: int) -> None:
            key = f"k/{secrets.token_hex(8)}"
            committed = await _store_new(store, _intent(key), _new_content())
            stored.append(committed.object.id)
            keys.append(ObjectKey(key))

        common = _new_content()
        shared = [_new_content() for _ in range(1000)]
        for content in [common, *shared]:
            await _store_new(store, _intent(None), content)
        turn = iter(range(10**9))
        picked = iter(secrets.SystemRandom().choices(range(10**6), k=10**6))

        await meter.run("upload, new content (begin_reserved + commit)", upload_new)
        await meter.run(
            "upload, PUT of new content, new key",
            lambda _: _store_new(store, _intent(f"p/{next(turn)}", replace=True), _new_content()),
        )
        await meter.run(
            "upload, PUT of new content over a key",
            lambda number: _store_new(
                store, _intent(f"o/{number}/{next(turn) % 50}", replace=True), _new_content()
            ),
        )
        await meter.run(
            "upload, one of 1,000 stored contents",
            lambda _: _store_new(store, _intent(f"s/{next(turn)}"), shared[next(turn) % 1000]),
        )
        await meter.run(
            "upload, one stored content",
            lambda _: _store_new(store, _intent(f"c/{next(turn)}"), common),
        )
        await meter.run(
            "find by id",
            lambda _: store.objects.find(TENANT, stored[next(picked) % len(stored)]),
        )
        await meter.run(
            "find by key",
            lambda _: store.objects.find_by_key(TENANT, NAMESPACE, keys[next(picked) % len(keys)]),
        )
        left = iter(stored)
        await meter.run("delete", lambda _: store.objects.delete(TENANT, next(left)))


async def _measure_asyncpg(url: str, meter: Meter, clients: int) -> None:
    async with asyncpg.create_pool(url, min_size=clients, max_size=clients) as pool:
        ids = [row[0] for row in await pool.fetch("SELECT id FROM objects LIMIT 10000")]
        turn = iter(range(10**9))

        async def find(number: int) -> None:
            async with pool.acquire() as connection:
                await connection.fetchrow(
                    "SELECT * FROM objects WHERE id = $1", ids[next(turn) % len(ids)]
                )

        async def insert(number: int) -> None:
            async with pool.acquire() as connection:
                await connection.execute("INSERT INTO bench VALUES ($1)", next(turn))

        await pool.execute("CREATE TABLE bench (n bigint PRIMARY KEY)")
        await meter.run("limit: asyncpg, one select by id each", find)
        await meter.run("limit: asyncpg, one insert each", insert)


def _pgbench(server: LocalServer, database: str, clients: int, seconds: float) -> None:
    program = server.binaries / "pgbench"
    if not program.exists():
        print("pgbench: not beside the server's binaries")
        return
    at = ["-h", str(server.root), "-U", "postgres", database]
    subprocess.run([program, "-i", "-q", "-s", "5", *at], check=True, capture_output=True)
    script = server.root / "insert.sql"
    script.write_text("INSERT INTO pgbench_history (tid, delta) VALUES (1, 1);\n")
    for name, what in (
        ("limit: pgbench -S", ["-S"]),
        ("limit: pgbench, one insert each", ["-f", str(script)]),
    ):
        told = subprocess.run(
            [
                str(program),
                *(*what, "-M", "prepared", "-n", "-c", str(clients), "-j", "2"),
                *("-T", str(max(1, int(seconds))), *at),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        rate = re.search(r"tps = ([\d.]+)", told.stdout)
        print(f"{name:44} {float(rate[1]) if rate else 0:9,.0f}/s", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=32)
    arguments = parser.parse_args()
    with own_server() as server:
        served = PostgresServer(server.url(), "its own", server)
        with made_database(served) as url:
            migrate(url)
            meter = Meter(arguments.clients, arguments.seconds, server)
            asyncio.run(_measure_store(url, meter))
            asyncio.run(_measure_asyncpg(url, meter, arguments.clients))
        with made_database(served) as url:
            database = url.partition("?")[0].rpartition("/")[2]
            _pgbench(server, database, arguments.clients, arguments.seconds)


if __name__ == "__main__":
    main()
