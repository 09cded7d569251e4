"""`juststorage serve` as a user starts it: no configuration, one directory."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

PATIENCE_S = 60


class Service:
    """A running service with its admin key."""

    def __init__(self, data_dir: Path) -> None:
        environment = {n: v for n, v in os.environ.items() if not n.startswith("JUSTSTORAGE_")}
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from juststorage.cli import main; main()",
                *("serve", "--data-dir", str(data_dir), "--port", str(port)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if "listening on" in line:
                break
        else:
            raise AssertionError("".join(lines))
        # Read, as whoever keeps a log does, so that it never waits for room in the pipe.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()
        self.data_dir = data_dir
        key = (data_dir / "admin.key").read_text().strip()
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-API-Key": key},
            timeout=PATIENCE_S,
            trust_env=False,
        )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        # The line about listening comes a moment before the first connection is accepted.
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.client.get("/health/ready").raise_for_status()
            except httpx2.ConnectError:
                assert time.monotonic() < deadline
            else:
                return

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._process.stderr.close()
        assert self._process.returncode == 0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Starts a service on one data directory; again after it was stopped."""
    with contextlib.ExitStack() as running:

        def start() -> Service:
            service = Service(tmp_path / "data")
            running.callback(lambda: service._process.poll() is None and service.stop())
            return service

        yield start
