"""What the SQLite metadata store costs without a server around it, next to what SQLite can do.

    .venv/bin/python -m benchmarks.sqlite_statements [--folder DIR] [--runs N] [--clients N]

The limits are measured in the same run: the disk's syncs, and SQLite used from one thread with no
event loop, one statement and one durable transaction for each object. Put the folder on the disk
that counts; a temporary file system syncs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from benchmarks.load.report import Row, table
from juststorage.domain import ContentHash, Namespace, NewObject, ObjectId, ObjectKey, TenantId
from juststorage.domain import Query as Listing
from juststorage.ports import Content, MetadataStore, Reservation, UploadIntent
from juststorage.testing import open_backend
from juststorage_sqlite.plugin import SQLITE, SqliteOptions

TENANT, NAMESPACE = TenantId("acme"), Namespace("models")
LIMIT_S = 1.0
UPLOADS = 8_000
FINDS = 40_000


def fdatasyncs_per_s(folder: Path) -> float:
    """4 KiB appended and synced, again and again."""
    block, done = os.urandom(4096), 0
    file = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT)
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < LIMIT_S:
        os.pwrite(file, block, done * 4096)
        os.fdatasync(file)
        done += 1
    os.close(file)
    return done / spent


def plain_sqlite(folder: Path) -> tuple[float, float]:
    """Durable inserts of one row, and selects by primary key, per second on one thread."""
    db = sqlite3.connect(folder / "plain.sqlite3", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE objects (id TEXT PRIMARY KEY, value TEXT)")
    ids: list[str] = []
    started = time.perf_counter()
    while (inserting := time.perf_counter() - started) < LIMIT_S:
        ids.append(ObjectId.new())
        db.execute("INSERT INTO objects VALUES (?, ?)", (ids[-1], "x" * 300))
    selected, started = 0, time.perf_counter()
    while (selecting := time.perf_counter() - started) < LIMIT_S:
        db.execute("SELECT * FROM objects WHERE id = ?", (ids[selected % len(ids)],)).fetchone()
        selected += 1
    db.close()
    return len(ids) / inserting, selected / selecting


class Bench:
    """One store, and rows collected over several runs."""

    def __init__(self, clients: int, limits: dict[str, float]) -> None:
        self._clients = clients
        self._limits = limits
        self._figures: dict[str, list[float]] = {}
        self._cpu: dict[str, list[float]] = {}
        self._limit_of: dict[str, str] = {}

    def rows(self) -> list[Row]:
        """What was measured."""
        rows = [Row(name, [value], "/s") for name, value in self._limits.items()]
        for name, figures in self._figures.items():
            limit = self._limit_of[name]
            cpu = sorted(self._cpu[name])[len(figures) // 2]
            note = f"{cpu:.0f} us of processor each"
            rows.append(Row(name, figures, "/s", self._limits[limit], limit, note))
        return rows

    async def measure(
        self, name: str, limit: str, count: int, call: Callable[[int], Awaitable[object]], n: int
    ) -> None:
        """Run `call` for each number below `count` from `n` tasks at once."""
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                await call(number)

        started, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(n):
                tasks.start_soon(client)
        self._figures.setdefault(name, []).append(count / (time.perf_counter() - started))
        self._cpu.setdefault(name, []).append((time.process_time() - cpu) / count * 1e6)
        self._limit_of[name] = limit

    async def run(self, store: MetadataStore, busy: bool) -> None:
        """One run of everything on an empty store."""
        objects, stored = store.objects, new_content()
        ids: list[ObjectId] = []
        suffix = ", busy event loop" if busy else ""

        async def upload(number: int, content: Content | None = None) -> None:
            new = NewObject(
                id=ObjectId.new(),
                namespace=NAMESPACE,
                tenant_id=TENANT,
                key=ObjectKey(f"{secrets.token_hex(8)}/{number}"),
            )
            begun = await objects.begin_reserved(
                UploadIntent(new=new), content or new_content(), lease_s=600
            )
            if isinstance(begun, Reservation):
                await objects.commit(begun.lease, f"sha256/{begun.lease.object.content_hash}")
            ids.append(new.id)

        async def find(number: int) -> None:
            assert await objects.find(TENANT, ids[number % len(ids)])

        async def listing(number: int) -> None:
            assert (await objects.page(Listing(tenant_id=TENANT, limit=100))).next

        n, inserts, selects = (
            self._clients,
            "plain SQLite, durable inserts",
            "plain SQLite, selects",
        )
        await upload(0, stored)
        count = UPLOADS // 4 if busy else UPLOADS
        await self.measure(f"uploads, new content{suffix}", inserts, count, upload, n)
        await self.measure(
            f"uploads, stored content{suffix}", inserts, count, lambda i: upload(i, stored), n
        )
        await self.measure(f"find by id{suffix}", selects, FINDS // (4 if busy else 1), find, n)
        if not busy:
            await self.measure("find by id, one client", selects, FINDS // 8, find, 1)
            await self.measure("uploads, new content, one client", inserts, 500, upload, 1)
            await self.measure("list 100, 8 clients", selects, 1000, listing, 8)
            taken = iter(ids[:count])
            await self.measure(
                "delete", inserts, count, lambda i: objects.delete(TENANT, next(taken)), n
            )


def new_content() -> Content:
    """Content that is nowhere yet."""
    return Content(ContentHash("sha256:" + secrets.token_hex(32)), 4096)


async def keep_busy() -> None:
    """An event loop that never rests: 30 us of work at a time, as a server under load has it."""
    while True:
        until = time.perf_counter() + 30e-6
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def main(folder: Path, runs: int, clients: int) -> None:
    """Measure and print."""
    inserts, selects = plain_sqlite(folder)
    limits = {
        "fdatasync of 4 KiB": fdatasyncs_per_s(folder),
        "plain SQLite, durable inserts": inserts,
        "plain SQLite, selects": selects,
    }
    bench = Bench(clients, limits)
    for number in range(runs):
        for busy in (False, True):
            path = folder / f"{number}-{busy}.sqlite3"
            async with (
                open_backend(SQLITE, SqliteOptions(path=str(path))) as store,
                anyio.create_task_group() as tasks,
            ):
                if busy:
                    tasks.start_soon(keep_busy)
                await bench.run(store, busy)
                tasks.cancel_scope.cancel()
    print(f"{clients} tasks, medians of {runs}\n\n{table(bench.rows())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
        anyio.run(main, Path(made), arguments.runs, arguments.clients)
