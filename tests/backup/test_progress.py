"""Bars of `juststorage backup`: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

SAME = os.urandom(300_000)
CONTENTS = {f"small/{number}": b"%d" % number for number in range(20)}
CONTENTS |= {"large": os.urandom(2 * 2**20 + 5), "hot": SAME, "empty": b""}
NAMES = ("create", "verify", "restore")


@pytest.fixture
async def words(deploy: Any, backups: Path) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Each command, and where to run it; the same bytes are hot, and cold."""
    first, second = deploy("first"), deploy("second")
    await first.fill(CONTENTS)
    await first.fill({"a": b"a", "b": b"b", "c": b"c", "cold": SAME})
    made = backups / "made"
    made.mkdir()
    first.done("backup", "create", str(made))
    second.done("migrate", "up")
    fresh = backups / "fresh"
    fresh.mkdir()
    return {
        "create": (first, ("backup", "create", str(fresh))),
        "verify": (first, ("backup", "verify", str(made))),
        "restore": (second, ("backup", "restore", str(made))),
    }


@pytest.mark.parametrize("name", NAMES)
async def test_a_bar_on_standard_error(words: Any, name: str) -> None:
    """It begins at nothing, never goes back, and ends at all; the result is on standard output."""
    where, command = words[name]
    watched = where.watched(*command)
    assert watched.returncode == 0, watched.shown
    assert watched.percentages[0] == 0
    assert watched.percentages[-1] == 100
    assert watched.percentages == sorted(watched.percentages)
    assert len(set(watched.percentages)) > 3
    assert name.replace("create", "backup") in watched.shown and "iB/s" in watched.shown
    (line,) = watched.stdout.splitlines()
    assert line.startswith("backup ") and "of 27 objects" in line


@pytest.mark.parametrize("name", NAMES)
async def test_no_bar_for_programs(words: Any, name: str) -> None:
    """With --json on a terminal there is the document alone, and without a terminal no bar."""
    where, command = words[name]
    watched = where.watched(*command, "--json")
    assert (watched.returncode, watched.shown) == (0, "")
    assert json.loads(watched.stdout)["id"]
    if name == "restore":
        shutil.rmtree(where.directory / "juststorage-data")
        (where.directory / "juststorage-data").mkdir()
    ran = where.run(*command)
    assert (ran.returncode, ran.stderr) == (0, "")


async def test_what_is_there_already_counts(words: Any) -> None:
    """A second backup copies nothing, and its bar is at its end all the same."""
    where, command = words["create"]
    where.done(*command)
    watched = where.watched(*command)
    assert "0 contents copied" in watched.stdout
    assert watched.percentages[-1] == 100
