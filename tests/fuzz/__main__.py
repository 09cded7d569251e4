"""Gives made-up inputs to every parser: see README.md beside this file, or scripts/fuzz --help."""

from __future__ import annotations

import argparse
import ast
import logging
import random
import shlex
import sys
import time
from collections import Counter
from importlib import import_module
from typing import Final

from tests.fuzz.fuzzing import Crash, Target, batch, once

MODULES: Final = ("heads", "metadata", "requests", "signed", "credentials", "config", "backups")

_BATCH: Final = 500
_LITERAL_LENGTH_MAX: Final = 2000


def targets() -> dict[str, Target]:
    """All of them, by name."""
    found: dict[str, Target] = {}
    for module in MODULES:
        found |= import_module(f"tests.fuzz.targets.{module}").TARGETS
    return found


def _run(name: str, target: Target, seed: int, seconds: float) -> None:
    """Batches until the time is over, one at least, each with a seed of its own."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    at = seed
    try:
        while at == seed or time.monotonic() - began < seconds:
            batch(target, at, _BATCH, counts)
            at += 1
    except Crash as crash:
        _show(counts, time.monotonic() - began)
        sys.exit(_told(name, crash, f"--seed {at} --minutes 0"))
    _show(counts, time.monotonic() - began)


def _show(counts: Counter[str], seconds: float) -> None:
    for word, count in counts.most_common():
        print(f"{count:>10,} {word}")
    print(f"{seconds:>10,.0f} s", flush=True)


def _told(name: str, crash: Crash, again: str) -> str:
    literal = repr(crash.value)
    if len(literal) <= _LITERAL_LENGTH_MAX:
        again = f"--input {shlex.quote(literal)}"
    else:
        literal = f"{literal[:_LITERAL_LENGTH_MAX]}... ({len(literal)} characters)"
    return f"CRASH: {crash}\ninput: {literal}\nrepeat with: scripts/fuzz {again} {name}"


def main() -> None:
    """Parse the command line and run."""
    known = targets()
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--input", metavar="LITERAL", help="this one input, to one target")
    given = parser.parse_args()
    names = given.names or list(known)
    if unknown := set(names) - known.keys():
        parser.error(f"there is no target {min(unknown)}")
    logging.getLogger("juststorage").addHandler(logging.NullHandler())
    if given.input is not None:
        if len(names) != 1:
            parser.error("--input is for one target: name it")
        try:
            print(once(known[names[0]], ast.literal_eval(given.input)))
        except Crash as crash:
            sys.exit(_told(names[0], crash, ""))
        return
    for name in names:
        _run(name, known[name], given.seed, given.minutes * 60 / len(names))


if __name__ == "__main__":
    main()
