"""The counter that an experiment shares with its processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.torture.points import Act, Points

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
                points.arm(Act.FREEZE, 10**9)
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
