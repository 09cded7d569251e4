"""The guards of the protocol, each taken away, and the experiment that has to notice.

Usage: scripts/mutations --torture [--minutes N] [WORD...]

The source is changed in a copy of the packages, as for the races, and the experiment runs the
copy until it finds something broken: within ten minutes, or nothing missed the guard. Before that
each experiment runs as long as the slowest find takes on a copy in which nothing is missing, and
must end well: one that breaks anyhow finds nothing, nor does one that could not even begin.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.races.guards import _PLACE_RESERVE, _RESERVE_PLACE, Mutation
from tests.races.mutations import ROOT, copy_packages, mutate

__all__ = ["GUARDS", "Attack", "attack", "main"]

_CORE = "juststorage-core/src/juststorage/usecases"
_POSTGRES = "juststorage-postgres/src/juststorage_postgres"
_FILES = "juststorage-localfs/src/juststorage_localfs"

_OVERTIME_S = 120
_CONTROL_MINUTES = 4.0

GUARDS = [
    Mutation(
        "fsync of the file",
        f"{_FILES}/_volume.py",
        "            self.ops.fsync(fd)\n",
        "            pass\n",
        ("power", ""),
    ),
    Mutation(
        "fsync of the directory",
        f"{_FILES}/_volume.py",
        "            self.ops.fsync_directory(directory, dir_fd=self.root_fd)\n",
        "",
        ("power", ""),
    ),
    Mutation(
        "sync of the whole volume",
        f"{_FILES}/_volume.py",
        "            self.ops.sync_volume(fd)\n",
        "            pass\n",
        ("power", ""),
    ),
    Mutation(
        "failure of a sync",
        f"{_FILES}/_volume.py",
        "                self.suspect = True\n            raise\n",
        "                self.suspect = True\n",
        ("disk", ""),
    ),
    Mutation(
        "sync of what is found",
        f"{_FILES}/_store.py",
        "        await self._jobs.run(self._volume.make_durable, locators)\n",
        "        return\n",
        ("power", ""),
    ),
    Mutation(
        "row lock",
        f"{_POSTGRES}/_work.py",
        "b.storage_class = k.storage_class FOR UPDATE\n",
        "b.storage_class = k.storage_class\n",
        ("interleave", ""),
    ),
    Mutation(
        "NOT EXISTS re-check",
        f"{_POSTGRES}/_blobs.py",
        "and blob.ref_count == 0 and not held[blob.key]",
        "and blob.ref_count == 0",
        ("interleave", ""),
    ),
    Mutation(
        "lease epoch",
        f"{_POSTGRES}/_rows.py",
        "return self.object.status is ObjectStatus.WRITING and self.epoch == epoch",
        "return True",
        ("interleave", ""),
    ),
    Mutation(
        "foreign key",
        f"{_POSTGRES}/_migrations/versions/0001_first.py",
        "        CONSTRAINT objects_blobs_fkey FOREIGN KEY (blob_hash, storage_class)\n"
        "            REFERENCES blobs (content_hash, storage_class) ON DELETE RESTRICT,\n",
        "",
        ("interleave", ""),
    ),
    Mutation(
        "stored_at",
        f"{_POSTGRES}/_statements.py",
        "b.stored_at IS NOT NULL AS stored",
        "true AS stored",
        ("interleave", ""),
    ),
    Mutation(
        "trash purge check",
        f"{_CORE}/_purge_trash.py",
        "        if row is None:\n",
        "        if True:\n",
        ("interleave", ""),
    ),
    Mutation(
        "reserve before placing",
        f"{_CORE}/_upload.py",
        _RESERVE_PLACE,
        _PLACE_RESERVE,
        ("interleave", ""),
    ),
    Mutation(
        "condition, again at the commit",
        f"{_POSTGRES}/_careful.py",
        "    check(intent.conditions, _current(work, row.key_name))\n",
        "",
        ("partition", ""),
    ),
    Mutation(
        "hash of what is sent",
        f"{_CORE}/_whole.py",
        "        if await running.content_hash() != key.content_hash:\n",
        "        if await running.content_hash() is None:\n",
        ("disk", ""),
    ),
    Mutation(
        "hash of what is read anew",
        f"{_CORE}/_whole.py",
        "            if running is None and not reader.from_memory:\n",
        "            if running is None and False:\n",
        ("disk", ""),
    ),
]
"""Each with the experiment that has to notice, in the place of the tests."""


class Attack(NamedTuple):
    """What came of an experiment."""

    seconds: float
    found: str
    """What is broken, or nothing."""

    error: str
    """How it ended, where that is in no good order and with nothing found."""


def attack(copy: Path, experiment: str, minutes: float) -> Attack:
    """Run the experiment against the copy."""
    places = os.pathsep.join(str(source) for source in sorted(copy.glob("*/src")))
    began = time.monotonic()
    attacking = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.torture", "--seed", "1"),
            *("--minutes", str(minutes), "--store", "postgres", experiment),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = attacking.communicate(timeout=minutes * 60 + _OVERTIME_S)
    except subprocess.TimeoutExpired:
        # Without a guard the source may do anything, and never end. Its servers go with it.
        os.killpg(attacking.pid, signal.SIGKILL)
        attacking.communicate()
        return Attack(time.monotonic() - began, "", "it did not end")
    took_s = time.monotonic() - began
    if found := re.search(r"^BROKEN: (.*)$", told, re.M):
        return Attack(took_s, found[1], "")
    error = f"it ended with code {attacking.returncode}: {told[-1000:]}"
    return Attack(took_s, "", error if attacking.returncode else "")


def main() -> int:
    """Attack without each of the guards that are asked for; how many were missed."""
    parser = argparse.ArgumentParser(prog="scripts/mutations --torture", description=__doc__)
    parser.add_argument("words", nargs="*", help="only guards whose names have one of these words")
    parser.add_argument("--minutes", type=float, default=10, help="for each guard, at most")
    given = parser.parse_args()
    words = given.words
    chosen = [g for g in GUARDS if not words or any(word in g.guard for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="guards-") as name:
        for experiment in sorted({guard.tests[0] for guard in chosen}):
            copy = Path(name) / experiment
            copy_packages(copy)
            control = attack(copy, experiment, min(_CONTROL_MINUTES, given.minutes))
            if told := control.found or control.error:
                sys.exit(f"{experiment} does not end well where no guard is missing: {told}")
        for number, guard in enumerate(chosen):
            copy = Path(name) / str(number)
            copy_packages(copy)
            mutate(copy, guard)
            without = attack(copy, guard.tests[0], given.minutes)
            missed += not without.found
            print(f"{guard.guard:26} {guard.tests[0]:12} {without.seconds:6.0f} s  ", end="")
            print(without.found[:200] or f"MISSED {without.error}".rstrip(), flush=True)
            shutil.rmtree(copy)
    print(f"{len(chosen) - missed} of {len(chosen)} guards were noticed to be missing")
    return missed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
