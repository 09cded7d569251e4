"""Who is dead."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path

from tests.torture.kill import is_alive

_LEADER_ENDS_FIRST = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall({exit}, 0)  # of this thread alone
"""
_EXIT = {"x86_64": 60, "aarch64": 93}


def test_a_process_lives_until_its_last_thread_has_ended() -> None:
    """Its first thread is a zombie by then, and its sockets are still open."""
    script = _LEADER_ENDS_FIRST.format(exit=_EXIT[platform.machine()])
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as child:
        status = Path(f"/proc/{child.pid}/stat")
        until = time.monotonic() + 30
        while status.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < until
            time.sleep(0.01)
        assert is_alive(child.pid)
    assert not is_alive(child.pid)
