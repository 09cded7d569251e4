"""A test that leaves signals blocked or ignored is the one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
import signal


def left():
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return blocked, [s for s in (signal.SIGHUP, signal.SIGUSR1) if signal.getsignal(s) == 1]


def test_blocking():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def test_after_it():
    assert left() == (set(), [])


def test_ignoring():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_after_that():
    assert left() == (set(), [])


def test_putting_back():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, former)


def test_a_handler():
    signal.signal(signal.SIGUSR1, lambda *_: None)
"""


def test_who_changes_what_is_inherited_fails(tmp_path: Path) -> None:
    """No other: what is left is put back for those that follow; handlers end with exec."""
    (tmp_path / "test_signals.py").write_text(TESTS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"),
            *("-c", "pyproject.toml", "--rootdir", ".", "-p", "tests.inheriting"),
            *("--basetemp", str(tmp_path / "inner"), str(tmp_path / "test_signals.py")),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "PYTEST" not in name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 failed, 4 passed" in done.stdout, done.stdout
    for name, left in {"blocking": "SIGTERM blocked", "ignoring": "SIGHUP ignored"}.items():
        told = done.stdout.partition(f"_ test_{name} _")[2].split("\n", 2)[1]
        assert told == f"processes of later tests would inherit: {left}"
    assert done.returncode == 1
