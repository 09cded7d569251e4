"""The demonstration's server: a process like any other, on the embedded default."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from page import Failure

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 45.0
_LISTENING = re.compile(r"listening on (http://[^\s\"]+)")


class Server:
    """`juststorage serve` in a session of its own, so that Ctrl-C is ours to handle.

    Args:
        data_dir: Where it keeps everything.
        log: Where its log goes.
    """

    def __init__(self, data_dir: Path, log: Path) -> None:
        self._data_dir = data_dir
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it and wait until it is ready; the seconds that took."""
        program = Path(sys.executable).with_name("juststorage")
        if not program.exists():
            raise Failure(f"{program} is missing", "Run scripts/setup --force")
        # Settings for another installation must not reach this one.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("JUSTSTORAGE")
        }
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", "--data-dir", self._data_dir, "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        while not self._is_ready():
            if self._process.poll() is not None:
                raise Failure("the server did not start. It said:", *self.last_lines())
            if time.monotonic() - began > START_TIMEOUT_S:
                self.kill()
                raise Failure(
                    f"the server is not ready after {START_TIMEOUT_S:.0f} s. It said:",
                    *self.last_lines(),
                )
            time.sleep(0.02)
        return time.monotonic() - began

    def stop(self) -> int:
        """Stop it in order; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the server did not stop within {STOP_TIMEOUT_S:.0f} s") from None

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def first_line(self) -> str:
        """What its log begins with."""
        return self._messages()[0]

    def last_lines(self) -> list[str]:
        """The end of its log."""
        return self._messages()[-8:] or ["(nothing)"]

    def _messages(self) -> list[str]:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return [_message(line) for line in lines]

    def _is_ready(self) -> bool:
        if not self.url:
            match = _LISTENING.search(self._log.read_text(errors="replace"))
            if match is None:
                return False
            self.url = match[1]
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _message(line: str) -> str:
    """What a log line says: it is JSON where standard error is no terminal."""
    try:
        entry = json.loads(line)
        return str(entry["message"]) + (f"\n{entry['exception']}" if "exception" in entry else "")
    except (ValueError, KeyError, TypeError):
        return line
