"""The counter that an experiment shares with its processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.torture.points import NEVER, Act, Kind, Point, Points

HASH = 32 * "b7"

_PASSES = """
import sys
from pathlib import Path
from tests.torture.points import Points
points = Points(Path(sys.argv[1]))
print("here", flush=True)
while True:
    points.reach("somewhere")
"""


def test_what_is_disarmed_stays_so(tmp_path: Path) -> None:
    """Even while another process passes a point: it would be frozen later, and by nobody thawed."""
    points = Points(tmp_path / "points")
    root = Path(__file__).parents[2]
    words = [sys.executable, "-c", _PASSES, str(tmp_path / "points")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(200):
                points.arm(Act.FREEZE, NEVER)
                while not points.passed():
                    pass
                points.disarm()
                time.sleep(0.001)
                assert points.armed() is Act.NOTHING
        finally:
            process.kill()


_PASSES_IN_A_THREAD = """
import sys, threading, time
from pathlib import Path
from tests.torture.points import Points
points = Points(Path(sys.argv[1]))
def run():
    while True:
        points.reach("somewhere")
threading.Thread(target=run, daemon=True).start()
print("here", flush=True)
while True:
    time.sleep(0.001)
"""


def test_a_thread_freezes_where_it_is(tmp_path: Path) -> None:
    """And not a point later, when another thread has heard of it: it might hold the counter then.

    A signal to a process is taken by any of its threads, of which the one that sent it is one.
    """
    points = Points(tmp_path / "points")
    root = Path(__file__).parents[2]
    words = [sys.executable, "-c", _PASSES_IN_A_THREAD, str(tmp_path / "points")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(100):
                points.arm(Act.FREEZE, 5)
                while Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1][0] != "T":
                    time.sleep(0.0005)
                assert len(points.passed()) == 5
                points.disarm()
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("fsync", "fsync"),
        ("before UPDATE blobs SET stored_at = $1", "before UPDATE blobs SET stored_at = $1"),
        ("write 43084 bytes", "write * bytes"),
        ("write the rest of 43084 bytes", "write the rest of * bytes"),
        ("mkdir b3", "mkdir *"),
        ("mkdir /tmp/run-7/sqlite/hot", "mkdir *hot"),
        ("mkdir b3/d2", "mkdir */*"),
        ("create .staging/.class.0123abcd0123abcd", "create .staging/.class.*"),
        (
            f"rename .staging/01910a2b-e924-747f-b766-0123456789ab.12345678 to b3/d2/{HASH}",
            "rename .staging/*.* to */*/*",
        ),
        (
            f"rename d1/c3/{HASH} to .trash/20261130T0930/{HASH}.sha256.12345678.abcdef01",
            "rename */*/* to .trash/*/*.sha256.*.*",
        ),
    ],
)
def test_a_point_has_the_text_of_what_is_there(where: str, text: str) -> None:
    """And of no name or size that is another the next time."""
    assert Point.text_of(where) == text


def test_equal_points_are_told_apart_by_their_turn() -> None:
    """A further point of another kind changes the name of none."""
    few = Point.all_of(["fsync", "mkdir ab", "fsync"])
    many = Point.all_of(["before COMMIT", "fsync", "fsync", "mkdir cd"])
    assert [str(each) for each in few] == ["fsync (1)", "mkdir * (1)", "fsync (2)"]
    assert set(few) < set(many)


def _fails(points: Points, where: str) -> bool:
    try:
        points.reach(where, Kind.CHANGE)
    except OSError:
        return True
    return False


def test_it_happens_at_the_point_that_is_named(tmp_path: Path) -> None:
    """Whatever other points come before it or between, and there alone, or from there on."""
    points = Points(tmp_path / "points")
    passed = ["mkdir 0a", "fsync", "write 3 bytes", "mkdir 0b", "fsync", "fsync", "mkdir 0c"]
    for lasts in (False, True):
        points.arm(Act.FULL, Point("fsync", 2), lasts=lasts)
        failed = [_fails(points, where) for where in passed]
        assert failed == [False, False, False, False, True, lasts, lasts]
        assert points.disarm() == passed
        assert not _fails(points, "fsync")
