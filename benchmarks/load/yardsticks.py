"""The limits of a run, each taken in turns with what is compared with it.

A machine of which others take their part is twice as fast in one minute as in the next: a limit
that was measured once, at the beginning, would make ratios of two different machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import large, limits
from benchmarks.load.database import Database
from benchmarks.load.nginx import running_nginx
from benchmarks.load.pgbench import PgBench, has_pgbench
from benchmarks.load.report import Row

__all__ = ["Slowest", "Yardstick", "Yardsticks", "running_yardsticks"]

_THREADS = (1, 8, 32)
_COMPARED_THREADS = 8
_SENT_TO = (1, 4)


class Yardstick:
    """One thing that the machine can do, and all measurements of it in this run.

    Args:
        name: What it is, short.
        unit: Of its figures.
        measure: Takes one.
    """

    def __init__(self, name: str, unit: str, measure: Callable[[], float]) -> None:
        self.name = name
        self._unit = unit
        self._measure = measure
        self._taken: list[float] = []

    def take(self) -> float:
        """Measure it once more."""
        figure = self._measure()
        self._taken.append(figure)
        return figure

    def rows(self) -> Iterator[Row]:
        """All of it as a row of the table, where it was measured at all."""
        if self._taken:
            yield Row(f"limit: {self.name}", self._taken, self._unit)


class Slowest(Yardstick):
    """The slowest of several things that go on at the same time.

    Each of them has a row already.
    """

    def __init__(self, *those: Yardstick) -> None:
        name = "slower of " + ", ".join(one.name for one in those)
        super().__init__(name, "", lambda: min(one.take() for one in those))


class Disks(NamedTuple):
    """What an upload cannot be faster than: the hash, and a disk that is written in either way."""

    cached: Yardstick
    """Through the page cache, and synced at the end."""
    direct: Yardstick
    """Past it, as the service writes large bodies; may be several times as fast."""


class Yardsticks:
    """Those of one run.

    Args:
        all_: Each of them.
        of: Which of them a kind of small request is compared with, by kind.
        disks: What a large upload is compared with.
        send: What large downloads are compared with, by number of clients; empty without nginx.
        others: Measured along with a kind of small request, compared with nothing.
    """

    def __init__(
        self,
        all_: list[Yardstick],
        of: dict[str, Yardstick],
        disks: Disks,
        send: dict[int, Yardstick],
        others: dict[str, list[Yardstick]],
    ) -> None:
        self._all = all_
        self.of = of
        self.disks = disks
        self.send = send
        self.others = others

    def rows(self) -> Iterator[Row]:
        """All that were taken, as rows of the table."""
        for one in self._all:
            yield from one.rows()


@contextmanager
def running_yardsticks(
    folder: Path, database: Database, *, seconds: float, size: int
) -> Iterator[Yardsticks]:
    """What they need, for as long as the block lasts.

    Args:
        folder: On the disk of the service; must not exist.
        database: Whose server `pgbench` uses.
        seconds: Of one measurement, where it takes any time.
        size: Of a large body, in bytes.
    """
    folder.mkdir()
    bare = Yardstick(
        "bare ASGI answers of 4 KiB", "/s", partial(limits.bare_asgi_per_s, max(1, round(seconds)))
    )
    sha = Yardstick("SHA-256 of one core", "MB/s", partial(limits.sha256_mb_s, min(1, seconds)))
    write = Yardstick(
        "one file written and synced", "MB/s", partial(limits.write_mb_s, folder, size)
    )
    direct = Yardstick(
        "the same past the page cache", "MB/s", partial(limits.write_directly_mb_s, folder, size)
    )
    durable = {
        threads: Yardstick(
            f"files of 4 KiB made durable, {threads} threads",
            "/s",
            partial(limits.syncs_per_s, folder, threads, seconds / 2),
        )
        for threads in _THREADS
    }
    interpreted = Yardstick(
        "rounds of a loop in Python, of one core", "/s", partial(limits.interpreted_per_s, 1)
    )
    of = dict.fromkeys(("get", "head", "unchanged", "list", "pages", "stored", "delete"), bare)
    of["new"] = durable[_COMPARED_THREADS]
    found = [interpreted, sha, write, direct, *durable.values(), bare]
    with ExitStack() as stack:
        if has_pgbench(database.server):
            bench = PgBench(database.server, folder)
            selects = Yardstick("pgbench, select", "/s", partial(bench.selects_per_s, seconds))
            inserts = Yardstick("pgbench, insert", "/s", partial(bench.inserts_per_s, seconds))
            of |= dict.fromkeys(("get", "head", "unchanged", "list", "pages"), selects)
            of |= dict.fromkeys(("stored", "delete"), inserts)
            found += [selects, inserts]
        send: dict[int, Yardstick] = {}
        port = stack.enter_context(running_nginx(folder / "nginx"))
        if port is not None:
            for clients in _SENT_TO:
                names = _files(folder / "nginx/files", clients, size)
                measure = partial(_sent_mb_s, port, names, size // clients)
                measure()  # warm-up
                send[clients] = Yardstick(f"nginx sendfile, {clients} client(s)", "MB/s", measure)
            found += send.values()
        others = {
            "get": [bare, interpreted],
            "new": [one for threads, one in durable.items() if threads != _COMPARED_THREADS],
        }
        disks = Disks(Slowest(write, sha), Slowest(direct, sha))
        yield Yardsticks(found, of, disks, send, others)


def _files(folder: Path, clients: int, size: int) -> list[str]:
    """A file for each client, of `size` bytes together; their names."""
    names = []
    for number in range(clients):
        path = large.source(folder, size // clients).rename(folder / f"{clients}-{number}")
        path.chmod(0o644)
        names.append(path.name)
    return names


def _sent_mb_s(port: int, names: list[str], size: int) -> float:
    ask = "GET /{} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    return large.fetch_mb_s(port, [ask.format(name).encode() for name in names], size)
