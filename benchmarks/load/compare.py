"""Two checkouts, or two reports, told apart: `benchmarks/compare`."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load import small
from benchmarks.load.database import Database, running_database
from benchmarks.load.report import number
from benchmarks.load.server import Server

__all__ = ["main"]

_KINDS = ("get", "stored", "new", "list", "pages", "unchanged", "head")
_FILLED = 1000


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
    arguments = parser.parse_args()
    if arguments.a.is_file() and arguments.b.is_file():
        _compare_reports(json.loads(arguments.a.read_text()), json.loads(arguments.b.read_text()))
    elif arguments.a.is_dir() and arguments.b.is_dir():
        _compare_checkouts(arguments)
    else:
        parser.error("A and B are two checkouts or two reports")


def _compare_reports(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Medians; what is within the spread of both is said to be the same."""
    print("| figure | A | B | B / A | |\n|---|---|---|---|---|")
    for section, rows in a["sections"].items():
        others = {row["name"]: row for row in b["sections"].get(section, [])}
        for row in rows:
            other = others.get(row["name"])
            if other is None or not row["median"]:
                continue
            overlap = min(row["figures"]) <= max(other["figures"]) and min(other["figures"]) <= max(
                row["figures"]
            )
            alone = len(row["figures"]) < 3 or len(other["figures"]) < 3
            verdict = "too few runs" if alone else "within the spread" if overlap else "differs"
            print(
                f"| {section}: {row['name']} | {number(row['median'])} {row['unit']}"
                f" | {number(other['median'])} | {other['median'] / row['median']:.2f}"
                f" | {verdict} |"
            )


def _compare_checkouts(arguments: argparse.Namespace) -> None:
    """Pairs of runs, turn and turn about (A B, B A, ...): a machine that drifts drifts for both."""
    kinds = arguments.only or _KINDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juststorage-bench-")))
        sides = [
            _side(stack, folder / name, checkout, arguments)
            for name, checkout in (("a", arguments.a), ("b", arguments.b))
        ]
        print("| request | rate B / A, median | spread | B faster | processor time B / A |")
        print("|---|---|---|---|---|", flush=True)
        for kind in kinds:
            for server, database, ids in sides:
                small.rate(server, kind, seconds=1, ids=ids, database=database)  # warm-up
            rates, costs = [], []
            for pair in range(arguments.pairs):
                taken = {}
                for side in (0, 1) if pair % 2 == 0 else (1, 0):
                    server, database, ids = sides[side]
                    taken[side] = small.rate(
                        server, kind, seconds=arguments.seconds, ids=ids, database=database
                    )
                    if taken[side].errors:
                        raise SystemExit(f"void: {taken[side].errors} errors of {'AB'[side]}")
                rates.append(taken[1].per_s / taken[0].per_s)
                costs.append(_cost(taken[1]) / _cost(taken[0]))
            rates.sort()
            costs.sort()
            print(
                f"| {kind} | {statistics.median(rates):.3f} | {rates[0]:.3f} .. {rates[-1]:.3f}"
                f" | {sum(rate > 1 for rate in rates)} of {len(rates)}"
                f" | {statistics.median(costs):.3f}, {costs[0]:.3f} .. {costs[-1]:.3f} |",
                flush=True,
            )


def _cost(rate: small.Rate) -> float:
    return rate.cpu_s_per_1000 + rate.database_cpu_s_per_1000


def _side(
    stack: ExitStack, folder: Path, checkout: Path, arguments: argparse.Namespace
) -> tuple[Server, Database | None, Path]:
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
    return server, database, ids


if __name__ == "__main__":
    main()
