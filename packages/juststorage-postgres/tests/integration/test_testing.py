"""The servers for tests leave nothing behind, whatever happens to the run that made them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from juststorage_postgres.testing import own_server

PROGRAM = """
from juststorage_postgres.testing import own_server
with own_server() as server:
    print(server.root, flush=True)
    input()
"""


def test_a_run_that_was_killed() -> None:
    """Its server ends with it, and its directory is removed by the next run."""
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None and run.stdin is not None
    root = Path(run.stdout.readline().strip())
    postmaster = int((root / "data" / "postmaster.pid").read_text().split()[0])
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    while Path(f"/proc/{postmaster}/exe").exists():
        pass
    assert root.exists()
    with own_server() as server:
        assert server.root.exists()
        assert not root.exists()
    assert not server.root.exists()


def test_a_run_that_ends_with_an_error() -> None:
    """An exception stops the server and removes its directory."""
    with pytest.raises(ZeroDivisionError), own_server() as server:
        raise ZeroDivisionError
    assert not server.root.exists()
