"""Servers for tests, as programs of this machine: found, started, waited for, and ended with us."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["READY_S", "find_program", "free_port", "running_program"]

READY_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1


def find_program(name: str) -> str | None:
    """Where it is: on the path, or where Go and npm put programs of one user."""
    home = Path.home()
    places = [
        os.environ.get("GOBIN", ""),
        f"{os.environ.get('GOPATH', '')}/bin",
        str(home / "go" / "bin"),
        str(home / ".local" / "bin"),
    ]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_program(
    command: Sequence[str], port: int, log: Path, *, env: Mapping[str, str]
) -> Iterator[None]:
    """Run a server for as long as the block lasts, from when it takes connections on `port`.

    Raises:
        RuntimeError: It did not start; its log is in the text.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - a program that we found
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
            env={"PATH": os.environ.get("PATH", os.defpath), **env},
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads hold locks that it needs
        )
    try:
        _wait_until_ready(port, process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"a server did not start: {log.read_text(errors='replace')}")
        time.sleep(0.01)
