"""Processes of the service under torture: servers and collectors, started again and again."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.torture.journal import Answer, Broken
from tests.torture.nursery import Child, Nursery
from tests.torture.service import call, exchange, free_port

__all__ = ["Collector", "Member", "Service", "collections_ended"]

_COLLECTIONS: Final = 'juststorage_gc_runs_total{outcome="done"} '
_READY_S: Final = 30.0
_ENDED_S: Final = 60.0
"""A collector lets everybody else of a busy machine go first, and ends within 20 s there."""


def collections_ended(port: int) -> int | None:
    """How many the collector with metrics at this port has ended; None where it does not tell."""
    answer = call(port, "GET", "/metrics", timeout=5)
    if answer is None or answer[0] != 200:
        return None
    lines = (line for line in answer[1].decode().splitlines() if line.startswith(_COLLECTIONS))
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


class Member:
    """A process of a nursery that is started again as often as it is killed.

    Args:
        nursery: Its home.
        config: Of the service.
        log: What its processes write.
    """

    name = "process"

    def __init__(self, nursery: Nursery, config: Path, log: Path) -> None:
        self._nursery = nursery
        self._config = config
        self.log = log
        self.child: Child | None = None

    def logged(self, characters: int = 3000) -> str:
        """The end of what its processes wrote."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def kill(self) -> int:
        """SIGKILL; its code."""
        assert self.child is not None
        return self.child.kill()

    def stop(self) -> None:
        """SIGTERM, and wait for an orderly end.

        Raises:
            Broken: It ended in another way; or not at all, with where it was.
        """
        assert self.child is not None
        self.child.send(signal.SIGTERM)
        try:
            code = self.child.wait(_ENDED_S)
        except AssertionError as error:
            raise Broken(f"a {self.name} does not end: {error}: {self.logged(30_000)}") from error
        if code != 0:
            raise Broken(f"a {self.name} ended with code {code}: {self.logged()}")


class Service(Member):
    """`juststorage serve`.

    Args:
        nursery: Its home.
        config: Of the service.
        log: What its processes write.
        workers: With more than one, the server's own process only looks after them.
    """

    name = "server"

    def __init__(self, nursery: Nursery, config: Path, log: Path, *, workers: int = 1) -> None:
        super().__init__(nursery, config, log)
        self.port = free_port()
        self.workers = workers

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready."""
        words = ["serve", "--config", str(self._config), "--port", str(self.port)]
        self.child = self._nursery.start([*words, "--workers", str(self.workers)], self.log)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = _READY_S) -> None:
        """Return when it is ready."""
        assert self.child is not None
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if not self.child.is_running or time.monotonic() > deadline:
                raise Broken(f"not ready within {seconds} s: {self.logged()}")
            time.sleep(0.005)

    def is_ready(self) -> bool:
        """Whether it answers /health/ready with 200."""
        answer = call(self.port, "GET", "/health/ready", timeout=5)
        return answer is not None and answer[0] == 200

    def call(
        self, method: str, target: str, body: bytes | None = None, **options: Any
    ) -> Answer | None:
        """A request to it."""
        return call(self.port, method, target, body, **options)

    def exchange(
        self, method: str, target: str, body: bytes | None = None, **options: Any
    ) -> tuple[Answer, Message] | None:
        """The same, with the header of the answer."""
        return exchange(self.port, method, target, body, **options)

    def read(self, object_id: str) -> Answer:
        """Read an object; the service is expected to be well."""
        answer = self.call("GET", f"/v1/objects/{object_id}?tenant_id=t")
        if answer is None:
            raise Broken(f"reading {object_id} was not answered: {self.logged()}")
        return answer

    def read_key(self, key: str) -> Answer:
        """Read what a key has; the service is expected to be well."""
        answer = self.call("GET", f"/v1/objects/by-key/n/t/{quote(key)}")
        if answer is None:
            raise Broken(f"reading the key {key} was not answered: {self.logged()}")
        return answer

    def read_class(self, object_id: str) -> str:
        """The storage class of an object that is there; the service is expected to be well."""
        answer = self.call("GET", f"/v1/objects/{object_id}/metadata?tenant_id=t")
        if answer is None or answer[0] != 200:
            raise Broken(f"the metadata of {object_id} are answered {answer}: {self.logged()}")
        return str(json.loads(answer[1])["storage_class"])

    def worker_pids(self) -> list[int]:
        """Its workers, where it has more than one."""
        assert self.child is not None
        pid = self.child.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []


class Collector(Member):
    """`juststorage gc worker`."""

    name = "collector"

    _began = 0
    """Where in its log it began."""

    def start(self) -> None:
        """Start it, and do not wait."""
        words = ["gc", "worker", "--config", str(self._config)]
        self.log.touch()
        self._began = self.log.stat().st_size
        self.child = self._nursery.start(words, self.log)

    def wait_until_ready(self, seconds: float = _READY_S) -> None:
        """Return when it collects. It has its log to itself."""
        assert self.child is not None
        deadline = time.monotonic() + seconds
        while b'"collecting; ' not in self.log.read_bytes()[self._began :]:
            if not self.child.is_running or time.monotonic() > deadline:
                raise Broken(f"no collector within {seconds} s: {self.logged()}")
            time.sleep(0.005)
