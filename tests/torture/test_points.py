"""The counter that an experiment shares with its processes."""

from __future__ import annotations

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
