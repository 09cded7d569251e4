"""What some clients cost the others: latency and memory while something else goes on."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import large, small
from benchmarks.load.database import Database
from benchmarks.load.report import Row
from benchmarks.load.server import Server
from benchmarks.load.stolen import watch_stolen
from benchmarks.load.turns import in_order

__all__ = [
    "Gets",
    "among_collections",
    "among_uploads",
    "many_uploads",
    "reading_slowly",
    "slow_readers",
]

_CLIENTS = 8
_UPLOADING = 4
_THOUGHT_MS = 4
"""Between an answer and the next request of a client that is no flood: some 1,500 requests a second
from all of them, where an answer takes a millisecond."""

_BEGUN_S = 0.3
_WARM_UP_S = 1
_REST_S = 1
_LOOK_S = 0.1
_PAUSE_S = 0.1
_READ_BYTES = 1024


class Gets(NamedTuple):
    """Small downloads, as a load.

    Args:
        server: Who answers.
        database: Where it keeps its metadata.
        ids: Object ids, one a line.
        seconds: For how long each time.
        pause_ms: How long each client waits between an answer and its next request.
    """

    server: Server
    database: Database
    ids: Path
    seconds: float
    pause_ms: int = 0

    def measured(self, seconds: float | None = None) -> small.Rate:
        """Once, and if asked for, for so long."""
        return small.rate(
            self.server,
            "get",
            seconds=self.seconds if seconds is None else seconds,
            clients=_CLIENTS,
            ids=self.ids,
            database=self.database,
            pause_ms=self.pause_ms,
        )


def among_uploads(gets: Gets, source: Path, *, runs: int) -> Iterator[Row]:
    """p99 of small downloads while four large uploads run, and without."""

    @contextmanager
    def uploading() -> Iterator[None]:
        over = threading.Event()

        def repeat() -> None:
            while not over.is_set():
                large.send(gets.server, source)

        with large.passing(gets.server):
            with ThreadPoolExecutor(_UPLOADING) as threads:
                repeated = [threads.submit(repeat) for _ in range(_UPLOADING)]
                try:
                    yield
                finally:
                    over.set()
            for each in repeated:
                each.result()  # one that failed was no load

    return _beside(gets, uploading, "GET 4 KiB beside 4 uploads", "must: <= 3", runs=runs)


def among_collections(gets: Gets, *, runs: int, garbage: int) -> Iterator[Row]:
    """p99 of small downloads while a collector runs, and without."""
    server, database = gets.server, gets.database
    removed_per_s: list[float] = []

    @contextmanager
    def collecting() -> Iterator[None]:
        database.add_garbage(server.data_dir / "hot", garbage)
        command = Path(sys.executable).with_name("juststorage")
        before = database.garbage()
        process = subprocess.Popen(
            [command, "gc", "run", "--grace-s", "0"],
            env=server.environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None and database.garbage() == before:
                time.sleep(_LOOK_S)  # it starts
            began, found = time.monotonic(), database.garbage()
            yield
            removed_per_s.append((found - database.garbage()) / (time.monotonic() - began))
            code = process.poll()
        finally:
            process.terminate()
            process.wait()
        if code == 0:
            raise SystemExit("void: the collector had done all before the end")
        if code is not None:
            raise SystemExit(f"void: the collector ended with code {code}")

    name = "GET 4 KiB beside the collector"
    for row in _beside(gets, collecting, name, "must: <= 1.5", runs=runs):
        yield row
        pace = row.name.split(", ")[1]
        note = "must: >= 2,000; at niceness 10"
        yield Row(f"blobs removed beside GET, {pace}", removed_per_s.copy(), "/s", note=note)
        removed_per_s.clear()


def _beside(
    gets: Gets, busy: Callable[[], AbstractContextManager[None]], name: str, must: str, *, runs: int
) -> Iterator[Row]:
    """At a steady pace, and as much as the server can take: what is there to share differs.

    One run is to see that it works, and sees one pace.
    """
    paces = (("steady", _THOUGHT_MS), ("flood", 0))
    for pace, pause_ms in paces if runs > 1 else paces[:1]:
        paced = gets._replace(pause_ms=pause_ms)
        yield _compared(paced, busy, f"{name}, {pace}, p99", must, runs)


def _compared(
    gets: Gets, busy: Callable[[], AbstractContextManager[None]], name: str, must: str, runs: int
) -> Row:
    """Turn and turn about, so that a machine that drifts drifts for both."""
    alone, beside = [], []
    stolen = []

    def measured_beside() -> small.Rate:
        with busy():
            time.sleep(_BEGUN_S)
            with watch_stolen() as its:
                rate = gets.measured()
        stolen.append(its)
        return rate

    def measured_alone() -> small.Rate:
        # What the others have left, on the disk and in the database, is not to be in it.
        os.sync()
        time.sleep(_REST_S)
        return gets.measured()

    gets.measured(_WARM_UP_S)
    for number in range(runs):
        one, other = in_order([measured_alone, measured_beside], number + 1)
        alone.append(one)
        beside.append(other)
    errors = sum(rate.errors for rate in (*alone, *beside))
    worst = max(stolen, key=lambda its: its.share)
    note = f"{must} times; {_middle(beside).per_s:,.0f} /s, at most {worst}"
    if errors:
        note = f"VOID: {errors} errors"
    return Row(
        name,
        [rate.p99_ms for rate in beside],
        "ms",
        _middle(alone).p99_ms,
        "alone",
        note,
        [rate.p99_ms for rate in alone],
        {**_middle(beside)._asdict(), "stolen": worst.share},
    )


def _middle(rates: list[small.Rate]) -> small.Rate:
    return sorted(rates, key=lambda rate: rate.p99_ms)[len(rates) // 2]


def many_uploads(fresh: Callable[[], Server], source: Path, *, clients: int, runs: int) -> Row:
    """Peak memory of the largest worker over idle, while many large uploads run at once.

    Args:
        fresh: Starts a server, so that idle is idle each time.
        source: What they send.
        clients: How many.
        runs: How often.
    """
    moved = []
    for _ in range(runs):
        with fresh() as server, large.passing(server):
            moved.append(large.upload(server, source, clients=clients))
    mib = source.stat().st_size // 2**20
    grown = [each.rss_growth_mib for each in moved]
    middle = sorted(moved)[len(moved) // 2]
    return Row(
        f"RSS over idle, {clients} uploads of {mib} MiB at once",
        grown,
        "MiB a worker",
        note=f"must: <= 256; the highest {max(grown):.1f}; {middle.mb_s:.0f} MB/s",
    )


def slow_readers(
    fresh: Callable[[], Server], object_id: str, *, readers: int, seconds: float, runs: int
) -> Row:
    """Peak memory over idle, of readers that take 10 KB a second of a large object.

    What the kernel keeps for them beside that is told in the note.
    """
    grown, kernel = [], []
    for _ in range(runs):
        with fresh() as server:
            server.forget_peak()
            idle, before = server.rss_mib(), _sockets_mib()
            with reading_slowly(server, object_id, readers=readers):
                time.sleep(seconds)
                grown.append(server.rss_mib("VmHWM") - idle)
                kernel.append(_sockets_mib() - before)
    name = f"RSS over idle, {readers} readers at 10 KB/s"
    note = f"must: <= 100; the highest {max(grown):.1f}, and {max(kernel):.1f} of the kernel's"
    return Row(name, grown, "MiB", note=note)


def _sockets_mib() -> float:
    """What the kernel has in buffers of all TCP connections of this machine, MiB."""
    lines = Path("/proc/net/sockstat").read_text().splitlines()
    [fields] = [line.split() for line in lines if line.startswith("TCP:")]
    return int(fields[fields.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def reading_slowly(
    server: Server, object_id: str, *, readers: int, waits: bool = True
) -> Iterator[None]:
    """So many clients take 10 KB a second each as long as the block lasts.

    All of them have begun before it, or, where nobody waits, begin within it: that is when the
    server has most to do for them.
    """
    over = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        begun = threading.Event()
        reading = thread.submit(_read_slowly, server, object_id, readers, begun, over)
        try:
            while waits and not begun.wait(_LOOK_S) and not reading.done():
                pass
            yield
        finally:
            over.set()
        reading.result()  # one that was cut off was no load


def _read_slowly(
    server: Server, object_id: str, readers: int, begun: threading.Event, over: threading.Event
) -> None:
    head = (
        f"GET /v1/objects/{object_id}?tenant_id=bench HTTP/1.1\r\nHost: bench\r\n"
        f"X-API-Key: {server.key}\r\n\r\n"
    ).encode()
    with selectors.DefaultSelector() as ready, ExitStack() as stack:
        for _ in range(readers):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(head)
            first = connection.recv(_READ_BYTES)
            assert first.startswith(b"HTTP/1.1 200"), first
            ready.register(connection, selectors.EVENT_READ)
        begun.set()
        while not over.wait(_PAUSE_S):
            for key, _ in ready.select(timeout=0):
                assert isinstance(key.fileobj, socket.socket)
                assert key.fileobj.recv(_READ_BYTES), "the server gave up on a reader"
