"""A volume that refuses: an error with a code, no crash, the other volume serves, and it recovers.

The kernel refuses for real (a filesystem that is read-only, a root that is gone, no descriptor that
is free), or is told to by strace.
"""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from juststorage.testing import do_without
from tests.serve.tracing import straced

KEY = "the-key-of-these-tests-only"
Eventually = Callable[[Callable[[], bool], str], None]


class Service:
    """A server with one process, and volumes for hot and cold."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._number = 0

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection(*self.server.address, timeout=60)

    def call(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        over: http.client.HTTPConnection | None = None,
    ) -> tuple[int, bytes]:
        """Status and body."""
        connection = over or self.connect()
        try:
            connection.request(method, target, body, {"X-API-Key": KEY})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            if over is None:
                connection.close()

    def upload(
        self,
        storage_class: str = "hot",
        *,
        size: int = 10,
        over: http.client.HTTPConnection | None = None,
    ) -> tuple[int, str]:
        """Of new bytes: status, and the object's id or the problem's code."""
        self._number += 1
        target = f"/v1/objects?namespace=n&tenant_id=t&storage_class={storage_class}"
        status, answer = self.call("POST", target, b"%d" % self._number + bytes(size), over)
        return status, json.loads(answer)["id" if status == 201 else "code"]

    def read(self, object_id: str) -> int:
        """The status."""
        return self.call("GET", f"/v1/objects/{object_id}?tenant_id=t")[0]

    def lives(self) -> bool:
        """Whether it says so."""
        return self.call("GET", "/health")[0] == 200


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A filesystem of its own for hot, and a directory for cold."""
    made = {name: tmp_path / name for name in ("hot", "cold")}
    for root in made.values():
        root.mkdir()
    _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(made["hot"]))
    try:
        yield made
    finally:
        # Lazily: a server that this test leaves behind is ended after it.
        subprocess.run(["umount", "--lazy", str(made["hot"])], check=True)


def _mount(*words: str) -> None:
    if shutil.which("mount") is None:
        do_without("mount", "there is no mount here")
    ran = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {ran.stderr.strip()}")


@pytest.fixture
def service(serve: Any, tmp_path: Path, roots: dict[str, Path]) -> Service:
    """A server that keeps no bytes in memory and does nothing by itself."""
    environment = {
        "JUSTSTORAGE__METADATA__BACKEND": "sqlite",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(roots["hot"]),
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__RESERVE_BYTES": "0",
        "JUSTSTORAGE__BLOBS__COLD__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__COLD__LOCALFS__ROOT": str(roots["cold"]),
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__DOWNLOADS__CACHE_BYTES": "0",
        "JUSTSTORAGE__GC__ENABLED": "false",
        "JUSTSTORAGE__SERVER__WORKERS": "1",
    }
    (tmp_path / "data").mkdir()
    return Service(serve("--data-dir", str(tmp_path / "data"), environment=environment))


def failing(pid: int, call: str, error: str) -> AbstractContextManager[None]:
    """Let the kernel answer every such call of a process with this error meanwhile."""
    injected = f"inject={call}:error={error}"
    return straced(pid, "-e", f"trace={call}", "-e", injected, "-o", "/dev/null")


def test_calls_that_are_refused(service: Service, roots: dict[str, Path]) -> None:
    """A read-only volume, one that refuses access, no memory in the kernel, no free descriptor."""
    stored = service.upload()
    assert stored[0] == 201

    def is_refused(size: int, over: http.client.HTTPConnection | None = None) -> None:
        assert service.upload(size=size, over=over) == (503, "unavailable")

    _mount("-o", "remount,ro", str(roots["hot"]))
    for size in (10, 200_000):
        is_refused(size)
    assert service.read(stored[1]) == 200
    assert service.upload("cold")[0] == 201
    _mount("-o", "remount,rw", str(roots["hot"]))
    assert service.upload()[0] == 201

    pid = service.server.process.pid
    for error in ("EACCES", "ENOMEM"):
        with failing(pid, "renameat", error):
            for size in (10, 200_000):
                is_refused(size)
            assert service.read(stored[1]) == 200
        assert service.upload()[0] == 201

    # Over a connection that is there: another one would need a descriptor as well.
    over = service.connect()
    assert service.upload(over=over)[0] == 201
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    for size in (10, 200_000):
        is_refused(size, over)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    over.close()
    assert service.upload()[0] == 201
    assert service.lives()
    assert service.server.stop() == 0


def test_a_root_that_is_gone(
    service: Service, roots: dict[str, Path], eventually: Eventually
) -> None:
    """What is in the other class is served; nothing is made beside the volume."""
    ids = {name: service.upload(name)[1] for name in ("hot", "cold")}
    shutil.rmtree(roots["cold"])
    for size in (10, 200_000):
        status, code = service.upload("cold", size=size)
        assert (status, code) == (503, "unavailable")
    assert service.read(ids["cold"]) in {500, 503}
    assert not roots["cold"].exists()
    assert service.read(ids["hot"]) == 200
    assert service.upload("hot")[0] == 201
    assert service.lives()
    eventually(lambda: service.call("GET", "/health/ready")[0] == 503, "it is not ready")
    assert service.server.stop() == 0
