"""The processes of a service: started, killed without warning, started again."""

from __future__ import annotations

import http.client
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

__all__ = ["Fleet", "Member"]

COMMAND = Path(sys.executable).with_name("juststorage")


class Member:
    """One process that is always to run: killed, it is started again.

    Args:
        words: The command line after `juststorage`.
        log: Where it writes; kept across restarts.
        port: Where it listens, for members that do.
    """

    def __init__(self, words: Sequence[str], log: Path, port: int | None = None) -> None:
        self.port = port
        self.kills = 0
        self._words = words
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([COMMAND, *self._words], stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, then start it again."""
        assert self._process is not None
        ended = self._process.poll()
        if ended is not None:
            raise AssertionError(f"{self._words[:2]} ended by itself with code {ended}")
        self._process.kill()
        self._process.wait()
        self.kills += 1
        self.start()

    def stop(self) -> None:
        """SIGTERM, and wait; raises when it does not end in order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        assert code == 0, f"{self._words[:2]} ended with code {code}"

    def end(self) -> None:
        """SIGKILL for good, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def is_ready(self) -> bool:
        """Whether it answers /health/ready with 200."""
        assert self.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Returns when it is ready."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not ready after {seconds} s: {self._log.read_text()[-2000:]}"
                )
            time.sleep(0.02)


class Fleet:
    """API processes and collectors on one configuration, and somebody who kills them.

    A context manager that leaves no process behind.
    """

    def __init__(self, folder: Path, config: Path, *, servers: int, collectors: int) -> None:
        self.servers = []
        for number in range(servers):
            port = _free_port()
            words = ["serve", "--config", str(config), "--port", str(port), "--workers", "1"]
            self.servers.append(Member(words, folder / f"server-{number}.log", port))
        self.collectors = [
            Member(["gc", "worker", "--config", str(config)], folder / f"collector-{number}.log")
            for number in range(collectors)
        ]
        self._over = threading.Event()
        self._killer: threading.Thread | None = None
        self.problem: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_killing()
        for member in [*self.servers, *self.collectors]:
            member.end()

    @property
    def kills(self) -> int:
        """How many processes were killed so far."""
        return sum(member.kills for member in [*self.servers, *self.collectors])

    def start(self) -> None:
        """Start all; the first server alone first, which makes the store."""
        self.servers[0].start()
        self.servers[0].wait_until_ready()
        for member in [*self.servers[1:], *self.collectors]:
            member.start()
        for server in self.servers:
            server.wait_until_ready()

    def start_killing(self, chance: random.Random, pause_s: float) -> None:
        """Kill a random member, again and again, about every `pause_s` seconds."""
        self._killer = threading.Thread(target=self._kill, args=(chance, pause_s))
        self._killer.start()

    def stop_killing(self) -> None:
        """No more of that."""
        self._over.set()
        if self._killer is not None:
            self._killer.join()

    def stop(self) -> None:
        """End all in order."""
        for member in [*self.servers, *self.collectors]:
            member.stop()

    def _kill(self, chance: random.Random, pause_s: float) -> None:
        try:
            while not self._over.wait(pause_s * chance.uniform(0.5, 1.5)):
                # Never all servers at once: a client needs somebody to talk to.
                member = chance.choice([*self.servers, *self.collectors])
                if member in self.servers and not all(s.is_ready() for s in self.servers):
                    continue
                member.kill()
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
