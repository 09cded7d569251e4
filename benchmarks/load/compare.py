"""Two checkouts, or two reports, told apart: `benchmarks/compare`."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.load import large, small
from benchmarks.load.crowd import reading_slowly
from benchmarks.load.database import Database, running_database
from benchmarks.load.kept import kept_in_memory
from benchmarks.load.report import Report
from benchmarks.load.server import Server
from benchmarks.load.two_reports import compared

__all__ = ["main"]

_SMALL = ("get", "stored", "new", "list", "pages", "unchanged", "head")
_UP = {"upload": 1, "uploads": 4}
"""Clients that send large bodies at once."""
_DOWN = {"download": 1, "downloads": 4}
_RANGES = ("ranges",)
"""Requests for a mebibyte of a large object."""
_READERS = {"beside": 200}
"""Uploads of new small bodies while so many clients begin to read a large one, slowly."""
_KINDS = (*_SMALL, *_UP, *_DOWN, *_RANGES, *_READERS)
_OF_LARGE = {*_DOWN, *_RANGES, *_READERS}
"""They read large objects."""
_READ_S = 3
"""Of a measurement that does not count: longer than all of them need to begin."""
_FEW_CLIENTS = {"list": 8, "pages": 8, "ranges": 8, "beside": 8}
_FILLED = 1000
_LARGE_BYTES = 256 * 1024 * 1024
"""Of large bodies, all clients together."""
_SETTLED_S = 4
"""A file that has changed just now is hashed each time that it is sent: docs/adr/0026."""


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="benchmarks/compare", description=__doc__)
    parser.add_argument("a", type=Path, help="a checkout that is set up, or a report (--json)")
    parser.add_argument("b", type=Path, help="the other one, of the same kind")
    parser.add_argument("--pairs", type=int, default=6, help="of checkouts: pairs of runs")
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--embedded", action="store_true", help="SQLite instead of PostgreSQL")
    parser.add_argument("--only", action="append", choices=_KINDS, help="these kinds of request")
    parser.add_argument("--json", type=Path, help="write all pairs of checkouts to this file too")
    arguments = parser.parse_args()
    if arguments.a.is_file() and arguments.b.is_file():
        a, b = (json.loads(path.read_text()) for path in (arguments.a, arguments.b))
        print("\n".join(compared(a, b)))
    elif arguments.a.is_dir() and arguments.b.is_dir():
        _compare_checkouts(arguments)
    else:
        parser.error("A and B are two checkouts or two reports")


def _compare_checkouts(arguments: argparse.Namespace) -> None:
    """Pairs of runs, turn and turn about (A B, B A, ...): a machine that drifts drifts for both."""
    kinds = arguments.only or _KINDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juststorage-bench-")))
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=large.memory())))
        sources = {}
        if set(kinds) - set(_SMALL):
            for clients in (1, 4):
                (memory / str(clients)).mkdir()
                sources[clients] = large.source(memory / str(clients), _LARGE_BYTES // clients)
        sides = [
            _side(stack, folder / name, checkout, arguments, sources)
            for name, checkout in (("a", arguments.a), ("b", arguments.b))
        ]
        found: dict[str, list[dict[str, _Taken]]] = {}
        print("| request | rate B / A, median | spread | B faster | processor time B / A | p99 |")
        print("|---|---|---|---|---|---|", flush=True)
        for kind in kinds:
            for side in sides:
                side.prepare(kind)
            rates, costs = [], []
            for pair in range(arguments.pairs):
                for side in sides if pair else ():
                    side.start_anew(kind)
                taken = {
                    place: sides[place].take(kind, arguments.seconds)
                    for place in ((0, 1) if pair % 2 == 0 else (1, 0))
                }
                rates.append(taken[1].rate / taken[0].rate)
                costs.append(taken[1].cost / taken[0].cost)
                found.setdefault(kind, []).append({"a": taken[0], "b": taken[1]})
            rates.sort()
            costs.sort()
            late = [pair["b"].p99_ms / pair["a"].p99_ms for pair in found[kind] if pair["a"].p99_ms]
            print(
                f"| {kind} | {statistics.median(rates):.3f} | {rates[0]:.3f} .. {rates[-1]:.3f}"
                f" | {sum(rate > 1 for rate in rates)} of {len(rates)}"
                f" | {statistics.median(costs):.3f}, {costs[0]:.3f} .. {costs[-1]:.3f}"
                f" | {f'{statistics.median(late):.3f}' if late else ''} |",
                flush=True,
            )
            if arguments.json:
                _write(arguments.json, found)


def _write(path: Path, found: dict[str, list[dict[str, _Taken]]]) -> None:
    """The measurements of each pair, beside what they were taken on."""
    pairs = {
        kind: [{side: taken._asdict() for side, taken in pair.items()} for pair in taken_]
        for kind, taken_ in found.items()
    }
    path.write_text(
        json.dumps({"machine": Report.begin().machine, "pairs": pairs}, indent=1) + "\n"
    )


class _Taken(NamedTuple):
    """One measurement."""

    rate: float
    """Requests a second, or MB/s of large bodies."""
    cost: float
    """Processor seconds of service and database for a thousand of them, or for these bodies."""
    p99_ms: float = 0.0
    """Of small requests."""


class _Side:
    """A checkout's server.

    Args:
        name: For messages.
        server: It.
        database: Its PostgreSQL, where it has one.
        ids: Of small objects that can be downloaded.
        sources: What so many clients send, each of them the whole file.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        database: Database | None,
        ids: Path,
        sources: dict[int, Path],
    ) -> None:
        self._name = name
        self._server = server
        self._database = database
        self._ids = ids
        self._sources = sources
        self._objects: list[str] = []
        self._large = ids.with_name("large")
        self._kept = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def prepare(self, kind: str) -> None:
        """Store what is downloaded, and take one that does not count."""
        if kind in _OF_LARGE:
            clients = _DOWN.get(kind, 1)
            self._objects = self._uploaded(clients).object_ids
            self._large.write_text("".join(f"{each}\n" for each in self._objects))
            time.sleep(_SETTLED_S)
            self._kept.close()
            size = _LARGE_BYTES // clients
            data = [self._server.data_dir]
            self._kept.enter_context(kept_in_memory(data, size=size, newest=clients))
        self._warm_up(kind)

    def start_anew(self, kind: str) -> None:
        """Another process of the same service: how fast one is depends on where its memory lies.

        By more than some of what is compared here, so that pairs of one start would agree with each
        other, and not with the next ones.
        """
        self._server.__exit__(None, None, None)
        self._server.__enter__()
        self._warm_up(kind)

    def _warm_up(self, kind: str) -> None:
        if kind in _OF_LARGE:
            size = _LARGE_BYTES // _DOWN.get(kind, 1)
            # Each worker hashes what it sends for the first time, and nobody can choose the worker.
            for _ in range(1 if self._server.workers == 1 else 4 * self._server.workers):
                large.download(self._server, self._objects, size)
        self.take(kind, 1 if kind not in _READERS else _READ_S)

    def take(self, kind: str, seconds: float) -> _Taken:
        """Measure; for so long where it is about small requests."""
        if kind in _UP:
            moved = self._uploaded(_UP[kind])
            return _Taken(moved.mb_s, moved.cpu_s)
        if kind in _DOWN:
            moved = large.download(self._server, self._objects, _LARGE_BYTES // _DOWN[kind])
            return _Taken(moved.mb_s, moved.cpu_s)
        with ExitStack() as stack:
            if kind in _READERS:
                stack.enter_context(
                    reading_slowly(
                        self._server, self._objects[0], readers=_READERS[kind], waits=False
                    )
                )
            rate = small.rate(
                self._server,
                "new" if kind in _READERS else kind,
                seconds=seconds,
                clients=_FEW_CLIENTS.get(kind, 32),
                ids=self._large if kind in _RANGES else self._ids,
                database=self._database,
            )
        if rate.errors:
            raise SystemExit(f"void: {rate.errors} errors of {self._name}")
        cost = rate.cpu_s_per_1000 + rate.database_cpu_s_per_1000
        return _Taken(rate.per_s, cost, rate.p99_ms)

    def _uploaded(self, clients: int) -> large.Transfer:
        return large.upload(self._server, self._sources[clients], clients=clients)


def _side(
    stack: ExitStack,
    folder: Path,
    checkout: Path,
    arguments: argparse.Namespace,
    sources: dict[int, Path],
) -> _Side:
    command = checkout.absolute() / ".venv/bin/juststorage"
    if not command.exists():
        raise SystemExit(f"{checkout} is not set up: run its scripts/setup")
    folder.mkdir()
    database = None if arguments.embedded else stack.enter_context(running_database(command))
    server = stack.enter_context(
        Server(
            folder / "data",
            workers=arguments.workers,
            environment={} if database is None else database.environment(),
            command=command,
        )
    )
    ids = folder / "ids"
    small.fill(server, _FILLED, ids)
    return stack.enter_context(_Side(folder.name.upper(), server, database, ids, sources))


if __name__ == "__main__":
    main()
