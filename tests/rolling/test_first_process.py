"""`juststorage serve` as the first process of a container, to which the kernel is less kind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE_S, poll

_MAIN = "from juststorage.cli import main; main()"
_APART = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def child_of(pid: int) -> int:
    """The only child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def listens(port: int) -> bool:
    """Whether a connection is accepted."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_it_in_order(tmp_path: Path, workers: str) -> None:
    """A first process has no default action for signals: what it does not handle is ignored."""
    if subprocess.run([*_APART, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("SKIPPED: no namespace of processes can be made here")
    log = tmp_path / "log"
    command = [*_APART, sys.executable, "-c", _MAIN, "serve", "--port", "0", "--workers", workers]
    with log.open("wb") as output:
        outside = subprocess.Popen(command, cwd=tmp_path, stderr=output, stdin=subprocess.DEVNULL)
    try:
        poll(lambda: "listening on" in log.read_text(), "it listens")
        address = re.search(r"listening on http://127.0.0.1:(\d+)", log.read_text())
        assert address is not None
        poll(lambda: listens(int(address[1])), "it accepts connections")
        first = child_of(outside.pid)
        assert "NSpid:\t" + f"{first}\t1\n" in Path(f"/proc/{first}/status").read_text()
        os.kill(first, signal.SIGTERM)
        assert outside.wait(PATIENCE_S) == 0
        assert log.read_text().count('"message":"stopped"') >= 1
    finally:
        if outside.poll() is None:
            outside.kill()
            outside.wait(PATIENCE_S)
