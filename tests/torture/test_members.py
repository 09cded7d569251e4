"""How processes of the service are ended."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.torture import members
from tests.torture.journal import Broken
from tests.torture.members import Member
from tests.torture.nursery import Child, Nursery

_HEARS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGUSR2, lambda *_: print("here I am", flush=True))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def nursery(tmp_path: Path) -> Nursery:
    """One that has no children."""
    return Nursery(tmp_path)


_IS_DEAF = _HEARS.replace("os._exit(0)", "None")


def member(nursery: Nursery, folder: Path, program: str = _HEARS) -> Member:
    """A process that ends at SIGTERM, or does something else."""
    made = Member(nursery, folder / "config", folder / "log")
    with made.log.open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=log)
    while made.logged() != "ready\n":
        assert process.poll() is None
    made.child = child = Child(process.pid)
    threading.Thread(target=lambda: child.end_with(process.wait())).start()
    return made


def test_one_that_hears_ends_in_order(nursery: Nursery, tmp_path: Path) -> None:
    """And nothing is broken."""
    with nursery:
        member(nursery, tmp_path).stop()


def test_one_that_does_not_end_breaks_the_promise(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, not again; what it says of itself is in what is told."""
    monkeypatch.setattr(members, "_ENDED_S", 0.2)
    monkeypatch.setattr("tests.torture.nursery._LAST_WORDS_S", 0.5)
    with nursery:
        deaf = member(nursery, tmp_path, _IS_DEAF)
        assert deaf.child is not None
        with pytest.raises(Broken, match="here I am"):
            deaf.stop()
        deaf.child.kill()


def test_one_that_ends_badly_breaks_the_promise(nursery: Nursery, tmp_path: Path) -> None:
    """An orderly end has code 0."""
    with nursery:
        killed = member(nursery, tmp_path)
        assert killed.child is not None
        killed.child.kill()
        with pytest.raises(Broken, match="code -9"):
            killed.stop()
