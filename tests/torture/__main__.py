"""Runs experiments: see README.md beside this file, or scripts/torture --help."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import random
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from tests.torture.experiment import Counts, Experiment, Run
from tests.torture.service import STORES

EXPERIMENTS = (
    *("crash", "kill", "interleave", "disk", "power", "freeze", "database", "model"),
    *("hostile", "bucket"),
)


_OVERTIME_S = 600
"""An experiment ends at the next step after its time. One that has not ended by then never will: it
shows where it is, and is ended."""


def find(name: str) -> Experiment:
    """The experiment of this name."""
    found: Experiment = import_module(f"tests.torture.{name}").run
    return found


def show(name: str, counts: Counts, seconds: float) -> None:
    """Print what an experiment did."""
    print(f"== {name}: nothing broken ({seconds:.0f} s)")
    for what, count in sorted(counts.items()):
        print(f"{count:>10,} {what}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
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
    stores = tuple(given.store or STORES)
    minutes = given.minutes / len(names)
    chosen = "".join(f" --store {store}" for store in given.store or ())
    for name in names:
        again = f"scripts/torture --seed {given.seed} --minutes {minutes:g}{chosen} {name}"
        print(f"== {name}\n   repeat with: {again}", flush=True)
        began = time.monotonic()
        faulthandler.dump_traceback_later(minutes * 60 + _OVERTIME_S, exit=True)
        with tempfile.TemporaryDirectory(prefix="juststorage-torture-") as temporary:
            folder = (given.keep or Path(temporary)) / name
            folder.mkdir(parents=True)
            try:
                counts = find(name)(Run(folder, given.seed, minutes * 60, stores))
            except AssertionError as broken:
                sys.exit(f"BROKEN: {broken}\nrepeat with: {again}")
            except Exception:
                print(f"an error that nobody expected\nrepeat with: {again}", file=sys.stderr)
                raise
        faulthandler.cancel_dump_traceback_later()
        show(name, counts, time.monotonic() - began)


if __name__ == "__main__":
    main()
