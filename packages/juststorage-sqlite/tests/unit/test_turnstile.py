"""Turns among processes. Two turnstiles of one file behave as those of two processes do."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from juststorage_sqlite._turnstile import Turnstile

WAIT_S = 30.0
HOLDER = """
import sys
from pathlib import Path
from juststorage_sqlite._turnstile import Turnstile
Turnstile.beside(Path(sys.argv[1])).enter(30)
print("in", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database, as far as the turnstile is concerned."""
    return tmp_path / "db"


@pytest.fixture
def two(path: Path) -> Iterator[tuple[Turnstile, Turnstile]]:
    """Two processes' turnstiles."""
    with closing(Turnstile.beside(path)) as first, closing(Turnstile.beside(path)) as second:
        yield first, second


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file."""
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def test_who_waits_is_next(path: Path, two: tuple[Turnstile, Turnstile]) -> None:
    """Who has had its turn does not get another one while somebody waits."""
    first, second = two
    order: list[str] = []

    def wait_for_a_turn() -> None:
        second.enter(WAIT_S)
        order.append("second")
        second.leave()

    first.enter(WAIT_S)
    waiter = threading.Thread(target=wait_for_a_turn)
    waiter.start()
    while not is_locked(path.with_name("db-waiting")):
        assert waiter.is_alive()
    first.leave()
    first.enter(WAIT_S)
    order.append("first")
    first.leave()
    waiter.join(WAIT_S)
    assert order == ["second", "first"]


def test_nobody_waits_for_ever(path: Path, two: tuple[Turnstile, Turnstile]) -> None:
    """After the timeout one goes in without a turn, and takes none from who has it by leaving."""
    first, second = two
    first.enter(WAIT_S)
    second.enter(0)
    second.leave()
    assert is_locked(path.with_name("db-writing"))
    assert not is_locked(path.with_name("db-waiting"))
    first.leave()
    assert not is_locked(path.with_name("db-writing"))


def test_a_process_that_dies_gives_up_its_turn(path: Path) -> None:
    """The system takes the lock from it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        assert is_locked(path.with_name("db-writing"))
        holder.kill()
        holder.wait(WAIT_S)
    assert not is_locked(path.with_name("db-writing"))


def test_its_files_are_the_owners_alone(path: Path) -> None:
    """As the database is."""
    with closing(Turnstile.beside(path)):
        assert {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {
            "db-waiting": 0o600,
            "db-writing": 0o600,
        }
