"""Takes the guards away, one at a time, and requires that a test of the races notices.

The source is changed in a temporary copy of the packages, never in the work tree; the tests are
those of the work tree and import the copy. First all chosen tests run on a copy without a change,
where they must pass.
"""

# ruff: noqa: T201 - a program prints

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.races.guards import MUTATIONS, Mutation

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300


def copy_packages(to: Path) -> None:
    """Copy the source of every package, without anything compiled."""
    for source in sorted((ROOT / "packages").glob("*/src")):
        shutil.copytree(
            source,
            to / source.relative_to(ROOT / "packages"),
            ignore=shutil.ignore_patterns("__pycache__"),
        )


def mutate(copy: Path, mutation: Mutation) -> None:
    """Change the copy.

    Raises:
        SystemExit: The source has moved on, and the mutation has to follow.
    """
    path = copy / mutation.path
    text = path.read_text()
    if text.count(mutation.old) != 1:
        sys.exit(
            f"{mutation.guard}: its text is in {mutation.path} {text.count(mutation.old)} times"
        )
    path.write_text(text.replace(mutation.old, mutation.new))


def run_tests(copy: Path, tests: Iterable[str], expression: str) -> tuple[int, str]:
    """Run tests against the copy; the exit code of pytest, and what it printed."""
    places = [str(source) for source in sorted(copy.glob("*/src"))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(places),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rfE", "--tb=line"]
    command += ["-p", "no:cacheprovider", "--timeout=60", "-k", expression]
    command += [str(ROOT / "tests" / "races" / name) for name in sorted(set(tests))]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, "the tests did not end"
    return done.returncode, done.stdout + done.stderr


def caught_by(output: str) -> str:
    """The test that failed."""
    found = re.search(r"^(?:FAILED|ERROR) \S*?::(.+?)(?: - .*)?$", output, re.M)
    return "no test" if found is None else found[1]


def check_copy(copy: Path, chosen: list[Mutation]) -> None:
    """The tests import the copy, and pass while nothing is changed."""
    probe = "import juststorage, juststorage_sqlite; print(juststorage.__file__)"
    places = os.pathsep.join(str(source) for source in sorted(copy.glob("*/src")))
    printed = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if not printed.startswith(str(copy)):
        sys.exit(f"the tests would not run on the copy but on {printed}")
    for name in sorted({each.tests[0] for each in chosen}):
        expression = " or ".join(f"({e.tests[1]})" for e in chosen if e.tests[0] == name)
        code, output = run_tests(copy, [name], expression)
        if code != 0:
            sys.exit(f"without any change, {name} fails:\n{output}")


def main() -> int:
    """Run the mutations that are asked for; how many were not caught."""
    parser = argparse.ArgumentParser(prog="scripts/mutations", description=__doc__)
    parser.add_argument("words", nargs="*", help="only guards whose names have one of these words")
    words = parser.parse_args().words
    chosen = [m for m in MUTATIONS if not words or any(word in m.guard for word in words)]
    if not chosen:
        sys.exit("there is no such guard")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        pristine = Path(name) / "pristine"
        copy_packages(pristine)
        check_copy(pristine, chosen)
        print(f"{'guard':50} {'caught by':78} seconds")
        for number, mutation in enumerate(chosen):
            copy = Path(name) / str(number)
            shutil.copytree(pristine, copy)
            mutate(copy, mutation)
            started = time.monotonic()
            code, output = run_tests(copy, [mutation.tests[0]], mutation.tests[1])
            seconds = time.monotonic() - started
            # 1 is a failed test. Anything else, such as no test at all, proves nothing.
            caught = code == 1
            missed += not caught
            by = caught_by(output) if caught else f"NOT CAUGHT (pytest ended with {code})"
            print(f"{mutation.guard:50} {by:78} {seconds:7.1f}", flush=True)
            shutil.rmtree(copy)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations were caught")
    return missed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
