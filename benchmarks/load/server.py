"""The real server in a process of its own, with its processor time and its memory."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load import processes

__all__ = ["Server"]

_KEY_VARIABLE = "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY"


class Server(AbstractContextManager["Server"]):
    """`juststorage serve` on a data directory of its own.

    Args:
        data_dir: Where it keeps everything.
        workers: Worker processes; 0 is the default of `serve`.
        environment: Variables beside the inherited ones.
        command: `juststorage` of another checkout than this one.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int = 0,
        environment: dict[str, str] | None = None,
        command: Path | None = None,
    ) -> None:
        self._command = command or Path(sys.executable).with_name("juststorage")
        self.data_dir = data_dir
        self._workers = workers
        self.environment = {
            **os.environ,
            "JUSTSTORAGE__DATA_DIR": str(data_dir),
            **(environment or {}),
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.ready_s = 0.0

    def __enter__(self) -> Self:
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [
                self._command,
                "serve",
                "--port",
                str(self.port),
                "--workers",
                str(self._workers),
                "--data-dir",
                self.data_dir,
            ],
            env=self.environment,
            stdout=(self.data_dir.parent / "server.log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        while not self._is_ready():
            if self._process.poll() is not None:
                raise SystemExit(f"the server ended with code {self._process.returncode}")
            time.sleep(0.01)
        self.ready_s = time.perf_counter() - started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def key(self) -> str:
        """An admin key: the one that the environment names, or that the first start wrote."""
        named = self.environment.get(_KEY_VARIABLE)
        return named or (self.data_dir / "admin.key").read_text().strip()

    @property
    def workers(self) -> int:
        """How many it was told to have."""
        return self._workers

    @property
    def pid(self) -> int:
        """The process that all others of it were started by."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor seconds so far, user and system, of all its processes."""
        return processes.cpu_s(self.pid)

    def rss_mib(self, what: str = "VmRSS") -> float:
        """Resident memory of the largest process now (VmRSS), or at its peak (VmHWM), MiB."""
        return processes.rss_mib(self.pid, what)

    def forget_peak(self) -> None:
        """Let the peak start from what is resident now."""
        processes.forget_peak(self.pid)
