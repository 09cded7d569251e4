"""Large bodies over plain sockets, with as little work for the client as there is."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.load.server import Server
from benchmarks.load.small import client_cpu_s
from benchmarks.load.stolen import watch_stolen

__all__ = [
    "MB",
    "Transfer",
    "download",
    "fetch_mb_s",
    "memory",
    "passing",
    "send",
    "sent",
    "source",
    "upload",
]

MB = 1_000_000
_BUFFER_BYTES = 1024 * 1024
_LARGE_BYTES = 1024 * 1024


class Transfer(NamedTuple):
    """One measurement of large bodies: all of them together."""

    mb_s: float
    cpu_s: float
    """Of the service."""
    client_cpu_s: float
    spent_s: float
    stolen: float
    """What a host took of all processors meanwhile, 0 to 1."""
    rss_growth_mib: float
    object_ids: list[str]


def memory() -> str | None:
    """Where a client's files cost the disk nothing, where there is such a place."""
    there = Path("/dev/shm")
    return str(there) if there.is_dir() else None


def source(folder: Path, size: int) -> Path:
    """A file of `size` bytes that no other run has."""
    path = folder / "source"
    block = os.urandom(16 * 1024 * 1024)
    with path.open("wb") as file:
        for number in range(max(1, size // len(block))):
            file.write(number.to_bytes(8, "big") + block[8 : min(size, len(block))])
    return path


def upload(server: Server, path: Path, *, clients: int = 1) -> Transfer:
    """Send a file, which the kernel copies to the sockets itself, from so many clients at once."""
    size = path.stat().st_size

    def all_at_once() -> list[str]:
        with ThreadPoolExecutor(clients) as threads:
            return list(threads.map(lambda _: send(server, path), range(clients)))

    return _measured(server, clients * size, all_at_once)


@contextmanager
def passing(server: Server) -> Iterator[None]:
    """Remove the files of large bodies that come within the block: they would fill the disk.

    Nobody may ask for their objects afterwards.
    """
    before = _files(server)
    yield
    for path in _files(server) - before:
        path.unlink()


def _files(server: Server) -> set[Path]:
    found = (path for path in (server.data_dir / "hot").rglob("*") if path.is_file())
    return {path for path in found if path.stat().st_size >= _LARGE_BYTES}


def send(server: Server, path: Path) -> str:
    """Send a file as a content that is not stored yet; the object's id."""
    size = path.stat().st_size
    mark = os.urandom(64)  # makes the content new, so that it is not stored already
    head = _head("POST", "/v1/objects?namespace=bench&tenant_id=bench", server, size)
    answer = sent(server.port, head, path, mark)
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201"), answer
    object_id: str = json.loads(document)["id"]
    return object_id


def sent(port: int, head: bytes, path: Path, mark: bytes = b"") -> bytes:
    """Send a head and a file, which begins otherwise where there is a mark; the whole answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + mark)
        with path.open("rb") as file:
            connection.sendfile(file, len(mark))
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def download(server: Server, object_ids: list[str], size: int) -> Transfer:
    """Receive bodies of `size` bytes at once, one a client, and drop them."""
    targets = [f"/v1/objects/{object_id}?tenant_id=bench" for object_id in object_ids]
    heads = [_head("GET", target, server, None) for target in targets]

    def fetch() -> list[str]:
        fetch_mb_s(server.port, heads, size)
        return object_ids

    return _measured(server, len(heads) * size, fetch)


def _measured(server: Server, size: int, move: Callable[[], list[str]]) -> Transfer:
    """`move` moves `size` bytes, and gives the objects' ids."""
    server.forget_peak()
    idle = server.rss_mib()
    cpu, own, started = server.cpu_s(), client_cpu_s(), time.perf_counter()
    with watch_stolen() as stolen:
        ids = move()
    spent = time.perf_counter() - started
    return Transfer(
        size / spent / MB,
        server.cpu_s() - cpu,
        client_cpu_s() - own,
        spent,
        stolen.share,
        server.rss_mib("VmHWM") - idle,
        ids,
    )


def fetch_mb_s(port: int, heads: list[bytes], size: int) -> float:
    """Send each head on a connection of its own, at once; MB/s of all answers of `size` bytes."""

    def fetch(head: bytes) -> None:
        buffer, received = bytearray(_BUFFER_BYTES), 0
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head)
            while count := connection.recv_into(buffer):
                received += count
        assert received > size, "the body is short"

    started = time.perf_counter()
    with ThreadPoolExecutor(len(heads)) as threads:
        list(threads.map(fetch, heads))
    return len(heads) * size / (time.perf_counter() - started) / MB


def _head(method: str, target: str, server: Server, size: int | None) -> bytes:
    length = "" if size is None else f"Content-Length: {size}\r\n"
    return (
        f"{method} {target} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {server.key}\r\n"
        f"{length}Connection: close\r\n\r\n"
    ).encode()
