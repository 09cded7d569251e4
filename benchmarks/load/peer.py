"""Another object store, on the same machine and in the same run: MinIO, where it is installed.

It is asked for the same things by the same clients, each request signed beforehand (presigned), so
that a client has nothing else to do than for ours. It is a compiled program that syncs what it
stores before it answers. What is signed beforehand leaves the body out, so that it computes no
SHA-256; it has checksums of its own instead, an MD5 for the entity tag among them, and writes no
access log.
`go install github.com/minio/minio@latest` builds it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from benchmarks.load import large, processes, small
from juststorage_objectstore.testing import S3Server

__all__ = ["NAME", "Peer", "peer_program", "running_peer"]

NAME = "MinIO"
_STORED = 1000
_NAMES = 30_000
_KEY = "benchmark"
_VALID = timedelta(hours=12)
_READY_S = 20


class Peer:
    """A running one with a bucket of small objects.

    Args:
        server: Where it is, and how to get in.
        pid: Its process.
        folder: For lists of requests.
    """

    def __init__(self, server: S3Server, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder
        self._port = int(server.endpoint.rpartition(":")[2])
        self._host = urlsplit(server.endpoint).netloc
        self._store = S3Store(
            server.make_bucket(),
            endpoint=server.endpoint,
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(self._put, range(_STORED)))
        names = [f"stored/{n}" for n in range(_STORED)]
        self._requests = {
            "get": ("GET", self._written("GET", names)),
            "stored": ("PUT", self._written("PUT", names)),
        }

    def _put(self, number: int) -> None:
        obstore.put(self._store, f"stored/{number}", f"{number}-".encode().ljust(4096, b"x"))

    def _signed(self, method: str, names: list[str]) -> list[str]:
        urls = obstore.sign(self._store, method, names, _VALID)  # type: ignore[call-overload]
        return [url.partition(self._host)[2] for url in urls]

    def _written(self, method: str, names: list[str]) -> Path:
        path = self._folder / f"{method}-{secrets.token_hex(4)}"
        path.write_text("\n".join(self._signed(method, names)) + "\n")
        return path

    def rate(self, what: str, *, seconds: float, clients: int) -> small.Rate | None:
        """Measure one kind of small request; None where it has nothing like it."""
        if what == "new":
            mark = secrets.token_hex(4)
            # Each name is new, and each object a file of its own: nothing is stored once only.
            paths = self._written("PUT", [f"new/{mark}/{n}" for n in range(_NAMES)])
            method = "PUT"
        elif what in self._requests:
            method, paths = self._requests[what]
        else:
            return None
        cpu, own = processes.cpu_s(self._pid), small.client_cpu_s()
        measured = small.wrk(self._port, clients, seconds, "presigned.lua", method, paths)
        cpu, own = processes.cpu_s(self._pid) - cpu, small.client_cpu_s() - own
        return measured.rate(cpu, 0.0, own)

    def upload(self, path: Path, *, clients: int) -> tuple[float, list[str]]:
        """MB/s of a file that so many clients send at once, and the names that it has then."""
        names = [f"large/{secrets.token_hex(8)}" for _ in range(clients)]
        size = path.stat().st_size
        heads = [
            f"PUT {target} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {size}\r\n"
            "Connection: close\r\n\r\n".encode()
            for target in self._signed("PUT", names)
        ]
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as threads:
            answers = list(threads.map(lambda head: large.sent(self._port, head, path), heads))
        spent = time.perf_counter() - started
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers), answers
        return clients * size / spent / large.MB, names

    def download(self, names: list[str], size: int) -> float:
        """MB/s of bodies that as many clients receive at once."""
        heads = [
            f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode()
            for target in self._signed("GET", names)
        ]
        return large.fetch_mb_s(self._port, heads, size)

    def forget(self, names: list[str]) -> None:
        """Remove large objects, which would fill the disk."""
        obstore.delete(self._store, names)


def peer_program() -> str | None:
    """Where it is, if it is."""
    return shutil.which("minio") or shutil.which("minio", path=str(Path.home() / "go/bin"))


@contextmanager
def running_peer(folder: Path) -> Iterator[Peer | None]:
    """One with its data in `folder`, which must not exist; None where it is not installed."""
    program = peer_program()
    if program is None:
        yield None
        return
    (folder / "data").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    secret = secrets.token_hex(16)
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": _KEY,
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    process = subprocess.Popen(
        [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", folder / "data"],
        env=environment,
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        server = S3Server(f"http://127.0.0.1:{port}", _KEY, secret, None)
        yield _made(server, process.pid, folder)
    finally:
        process.terminate()
        process.wait(30)


def _made(server: S3Server, pid: int, folder: Path) -> Peer:
    """Once it takes a bucket."""
    until = time.monotonic() + _READY_S
    while True:
        try:
            return Peer(server, pid, folder)
        except (OSError, RuntimeError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
