"""What it costs to be seen, behind the real server: `benchmarks/seen`.

All servers run at once on one database each, and are loaded one after the other; in every round the
order turns, so that a machine that drifts drifts for all. How fast a process is depends on where
its memory happens to lie, by more than what is measured here: all are started anew several times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.load import small
from benchmarks.load.database import Database, running_database
from benchmarks.load.server import Server

__all__ = ["main"]

_FILLED = 1000
_ROOT = Path(__file__).parents[2]

_AS_IT_IS = "as it is"
_WAYS = {
    _AS_IT_IS: {},
    "without the access log": {"JUSTSTORAGE__LOG__LEVEL": "warning"},
    "blind": {},
    "traced, 1 in 100": {"JUSTSTORAGE__TRACING__SAMPLING_RATIO": "0.01"},
    "traced, all": {"JUSTSTORAGE__TRACING__SAMPLING_RATIO": "1"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks/seen", description=__doc__)
    parser.add_argument("--starts", type=int, default=6, help="of all servers")
    parser.add_argument("--rounds", type=int, default=6, help="of each start")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run")
    parser.add_argument("--embedded", action="store_true", help="SQLite instead of PostgreSQL")
    parser.add_argument("--untraced", action="store_true", help="leave out what is about traces")
    arguments = parser.parse_args()
    ways = {
        name: settings
        for name, settings in _WAYS.items()
        if not (arguments.untraced and name.startswith("traced"))
    }
    found: list[dict[str, small.Rate]] = []
    for _ in range(arguments.starts):
        found += _started(ways, arguments.rounds, arguments.seconds, embedded=arguments.embedded)
    _print(found)


Side = tuple[Server, Database | None, Path]


def _started(
    ways: dict[str, dict[str, str]], rounds: int, seconds: float, *, embedded: bool
) -> list[dict[str, small.Rate]]:
    """Rounds with servers that are started for them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juststorage-bench-")))
        blind = _launcher(folder)
        receiver = stack.enter_context(_receiving())
        sides = {}
        for name, settings in ways.items():
            traced = name.startswith("traced")
            environment = {"JUSTSTORAGE__TRACING__ENDPOINT": receiver} if traced else {}
            environment |= settings
            sides[name] = _side(
                stack,
                folder / name.replace(" ", "-"),
                environment,
                blind if name == "blind" else None,
                embedded=embedded,
            )
        for side in sides.values():
            _load(side, 1)  # warm-up
        return _rounds(sides, rounds, seconds)


def _rounds(sides: dict[str, Side], rounds: int, seconds: float) -> list[dict[str, small.Rate]]:
    names = list(sides)
    found = []
    for number in range(rounds):
        turned = names if number % 2 == 0 else names[::-1]
        measured = {name: _load(sides[name], seconds) for name in turned}
        found.append({name: measured[name] for name in names})
    return found


def _load(side: Side, seconds: float) -> small.Rate:
    server, database, ids = side
    measured = small.rate(server, "get", seconds=seconds, ids=ids, database=database)
    if measured.errors:
        raise SystemExit(f"void: {measured.errors} errors")
    return measured


def _print(found: list[dict[str, small.Rate]]) -> None:
    """Ratios to the blind one of the same round: medians, and from the least to the most."""
    print("| GET 4 KiB | a second | rate / blind | server's processor time, us | / blind |")
    print("|---|---|---|---|---|")
    for name in found[0]:
        rates = sorted(each[name].per_s / each["blind"].per_s for each in found)
        costs = sorted(each[name].cpu_s_per_1000 / each["blind"].cpu_s_per_1000 for each in found)
        per_s = statistics.median(each[name].per_s for each in found)
        cpu_us = statistics.median(each[name].cpu_s_per_1000 for each in found) * 1000
        print(
            f"| {name} | {per_s:,.0f}"
            f" | {statistics.median(rates):.3f} ({rates[0]:.3f} .. {rates[-1]:.3f}) | {cpu_us:.0f}"
            f" | {statistics.median(costs):.3f} ({costs[0]:.3f} .. {costs[-1]:.3f}) |"
        )


def _side(
    stack: ExitStack,
    folder: Path,
    environment: dict[str, str],
    command: Path | None,
    *,
    embedded: bool,
) -> Side:
    folder.mkdir()
    database = None if embedded else stack.enter_context(running_database())
    environment = environment if database is None else environment | database.environment()
    server = stack.enter_context(
        Server(folder / "data", workers=1, environment=environment, command=command)
    )
    ids = folder / "ids"
    small.fill(server, _FILLED, ids)
    return server, database, ids


def _launcher(folder: Path) -> Path:
    """`juststorage` without eyes."""
    path = folder / "blind-juststorage"
    path.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(_ROOT)!r})\n"
        "runpy.run_module('benchmarks.load.unseen', run_name='__main__')\n"
    )
    path.chmod(0o755)
    return path


@contextmanager
def _receiving() -> Iterator[str]:
    """A receiver of traces that drops them: its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        server.shutdown()


if __name__ == "__main__":
    main()
