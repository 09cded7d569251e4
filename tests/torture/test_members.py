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

_HEARS_THE = """
import os, signal, sys, time
heard = []
def hear(*_):
    heard.append(1)
    if len(heard) == {number}:
        os._exit(0)
signal.signal(signal.SIGTERM, hear)
signal.signal(signal.SIGUSR2, lambda *_: print("here I am", flush=True))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def nursery(tmp_path: Path) -> Nursery:
    """One that has no children: members need it for what it counts."""
    return Nursery(tmp_path)


def member_who_hears(number: int, nursery: Nursery, folder: Path) -> Member:
    """A process that ends at the `number`-th SIGTERM."""
    member = Member(nursery, folder / "config", folder / "log")
    with member.log.open("w") as log:
        command = [sys.executable, "-c", _HEARS_THE.format(number=number)]
        process = subprocess.Popen(command, stdout=log)
    while member.logged() != "ready\n":
        assert process.poll() is None
    member.child = child = Child(process.pid)
    threading.Thread(target=lambda: child.end_with(process.wait())).start()
    return member


def test_one_that_hears_is_not_counted(nursery: Nursery, tmp_path: Path) -> None:
    """It is sent one SIGTERM."""
    with nursery:
        member_who_hears(1, nursery, tmp_path).stop()
    assert not nursery.counts


def test_one_that_has_to_be_told_twice_is_counted(
    nursery: Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what it says of itself is printed."""
    monkeypatch.setattr(members, "_HEARD_S", 0.2)
    monkeypatch.setattr(members, "_TOLD_S", 0.5)
    with nursery:
        member_who_hears(2, nursery, tmp_path).stop()
    assert nursery.counts == {"SIGTERM sent twice to a process": 1}
    assert "here I am" in capsys.readouterr().out


def test_one_that_ends_badly_breaks_the_promise(nursery: Nursery, tmp_path: Path) -> None:
    """An orderly end has code 0."""
    with nursery:
        member = member_who_hears(1, nursery, tmp_path)
        assert member.child is not None
        member.child.kill()
        with pytest.raises(Broken, match="code -9"):
            member.stop()
