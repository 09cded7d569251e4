"""Runs experiments: see README.md beside this file, or scripts/torture --help."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import random
import signal
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from types import FrameType

from tests.torture.done import Done, OtherSource, source
from tests.torture.experiment import Counts, Experiment, Run
from tests.torture.service import STORES

EXPERIMENTS = (
    *("crash", "kill", "interleave", "disk", "power", "freeze", "database", "model"),
    *("hostile", "bucket", "partition", "history", "clocks", "soak"),
)


_OVERTIME_S = 600
"""An experiment ends at the next step after its time. One that has not ended by then never will: it
shows where it is, and is ended."""


def find(name: str) -> Experiment:
    """The experiment of this name."""
    found: Experiment = import_module(f"tests.torture.{name}").run
    return found


def show(what: str, counts: Counts, seconds: float) -> None:
    """Print what an experiment did."""
    print(f"== {what} ({seconds:.0f} s)", flush=True)
    for each, count in sorted(counts.items()):
        print(f"{count:>10,} {each}", flush=True)


def _stop_when_told(run: Run) -> None:
    """SIGINT and SIGTERM: once, and it ends in order at its next step; twice, and it ends."""

    def stop(signum: int, _: FrameType | None) -> None:
        run.stop()
        print("   told to stop: it ends at its next step", flush=True)
        faulthandler.dump_traceback_later(_OVERTIME_S, exit=True)
        signal.signal(signum, signal.SIG_DFL)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
    parser.add_argument(
        "--all", action="store_true", help="a complete pass of each, however long it takes"
    )
    parser.add_argument(
        "--done", type=Path, help="a file of what complete passes have done, to go on from"
    )
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="the steps whose names begin so, each once"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--store", choices=STORES, action="append", help="may be given twice")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    given = parser.parse_args()
    # What failures are logged as is the experiment's own doing.
    logging.getLogger("juststorage").addHandler(logging.NullHandler())
    names = given.names or list(EXPERIMENTS)
    unknown = set(names) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"there is no experiment {sorted(unknown)[0]}")
    if given.done and (given.only or not given.all):
        parser.error("--done is of complete passes: give it with --all, and without --only")
    for name in names:
        if not _run(name, given, parser, seconds=given.minutes * 60 / len(names)):
            return


def _run(
    name: str, given: argparse.Namespace, parser: argparse.ArgumentParser, *, seconds: float
) -> bool:
    """One experiment; whether the next one may begin."""
    try:
        done = Done(given.done, name, source()) if given.done else None
    except OtherSource as error:
        parser.error(str(error))
    began = time.monotonic()
    if not (given.all or given.only):
        faulthandler.dump_traceback_later(seconds + _OVERTIME_S, exit=True)
    with tempfile.TemporaryDirectory(prefix="juststorage-torture-") as temporary:
        folder = (given.keep or Path(temporary)) / name
        folder.mkdir(parents=True)
        stores = tuple(given.store or STORES)
        run = Run(folder, given.seed, seconds, stores, given.all, done, given.only)
        print(f"== {name}\n   repeat with: {run.again(name)}", flush=True)
        _stop_when_told(run)
        try:
            find(name)(run)
        except AssertionError as broken:
            show(f"{name}, until it broke", run.counts, time.monotonic() - began)
            sys.exit(f"BROKEN: {broken}\nrepeat with: {run.again(name)}")
        except Exception:
            show(f"{name}, until it broke", run.counts, time.monotonic() - began)
            print(f"an error that nobody expected\nrepeat with: {run.again(name)}", file=sys.stderr)
            raise
    faulthandler.cancel_dump_traceback_later()
    if given.only and not run.steps:
        sys.exit(f"no step of {name} has a name that begins with: {given.only}")
    stopped = ", stopped" if run.is_stopped else ", complete" if given.all else ""
    show(f"{name}: nothing broken{stopped}", run.counts, time.monotonic() - began)
    if done is not None:
        print(f"   {done.seconds:.0f} s and {len(done.names):,} steps in all", flush=True)
    return not run.is_stopped


if __name__ == "__main__":
    main()
