"""Several processes on one file, and processes that are killed."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ObjectStatus
from juststorage.ports import ReadOnlySwitch
from juststorage.testing import audit_metadata, open_backend
from juststorage_sqlite.plugin import SQLITE, SqliteOptions

WORKER = Path(__file__).with_name("worker.py")


def start(path: Path, name: str, operations: int) -> subprocess.Popen[bytes]:
    """A worker on the file."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(path), name, str(operations)],
        stdout=subprocess.PIPE,
    )


def acknowledged(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """What the workers had confirmed."""
    return [json.loads(line) for line in lines]


def kill_after(worker: subprocess.Popen[bytes], lines: int) -> list[dict[str, Any]]:
    """Read that many lines, kill the worker in whatever it does, and read what else it said."""
    assert worker.stdout is not None
    found = [worker.stdout.readline() for _ in range(lines)]
    worker.send_signal(signal.SIGKILL)
    found += worker.stdout.readlines()
    worker.stdout.close()
    assert worker.wait() == -signal.SIGKILL
    return acknowledged(found)


async def check(path: Path, events: list[dict[str, Any]]) -> None:
    """The file is whole, its counts are right, and it has what was acknowledged."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    async with open_backend(SQLITE, SqliteOptions(path=str(path))) as store:
        assert await audit_metadata(store) == []
        found = await store.objects.scan(after=None, limit=1_000_000)
        status = {each.id: each.status for each in found}
        deleted = {each["deleted"] for each in events if "deleted" in each}
        for each in events:
            if "stored" in each and each["stored"] not in deleted:
                # The delete that was not acknowledged may have happened, and nothing else.
                assert status[each["stored"]] in (ObjectStatus.COMMITTED, ObjectStatus.DELETING)
            elif "deleted" in each:
                assert status[each["deleted"]] is ObjectStatus.DELETING
            elif each.get("replaced"):
                assert status[each["replaced"]] is ObjectStatus.DELETING


@pytest.mark.timeout(100)
async def test_killed_in_mid_write(path: Path) -> None:
    """SIGKILL at any moment loses nothing that was acknowledged, and no count drifts (R03)."""
    choose = random.Random(7)
    events: list[dict[str, Any]] = []
    for number in range(6):
        worker = start(path, f"killed {number}", 0)
        events += kill_after(worker, choose.randrange(2, 400))
        await check(path, events)
    assert sum("deleted" in each for each in events) > 20


@pytest.mark.timeout(100)
async def test_two_processes_on_one_file(path: Path) -> None:
    """Two workers that write as fast as they can wait for each other and fail nowhere."""
    workers = [start(path, name, 60) for name in ("left", "right")]
    events = []
    for worker in workers:
        output, _ = worker.communicate()
        assert worker.returncode == 0
        events += acknowledged(output.splitlines())
    await check(path, events)
    assert sum("put" in each or "stored" in each for each in events) > 500


async def test_the_switch_of_read_only_mode_is_everybodys(tmp_path: Path) -> None:
    """Whoever opens the file beside this one, and after it, finds it as it was turned."""
    options = SqliteOptions(path=str(tmp_path / "metadata.sqlite3"))
    async with open_backend(SQLITE, options) as one, open_backend(SQLITE, options) as other:
        await one.turn_read_only(on=True)
        assert await other.read_only() == ReadOnlySwitch(on=True, turns=1)
        await other.turn_read_only(on=False)
        assert await one.read_only() == ReadOnlySwitch(on=False, turns=2)
        await one.turn_read_only(on=True)
    async with open_backend(SQLITE, options) as later:
        assert await later.read_only() == ReadOnlySwitch(on=True, turns=3)
