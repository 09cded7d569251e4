"""Large bodies over plain sockets, with as little work for the client as there is."""

from __future__ import annotations

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.load.server import Server

__all__ = ["Transfer", "download", "fetch_mb_s", "memory", "source", "upload"]

MB = 1_000_000
_BUFFER_BYTES = 1024 * 1024


class Transfer(NamedTuple):
    """One measurement of large bodies: all of them together."""

    mb_s: float
    cpu_s: float
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
    idle = _settle(server)
    cpu, started = server.cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        ids = list(threads.map(lambda _: _send(server, path, size), range(clients)))
    spent = time.perf_counter() - started
    return Transfer(
        clients * size / spent / MB,
        server.cpu_s() - cpu,
        server.rss_mib("VmHWM") - idle,
        ids,
    )


def _send(server: Server, path: Path, size: int) -> str:
    mark = os.urandom(64)  # makes the content new, so that it is not stored already
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            _head("POST", "/v1/objects?namespace=bench&tenant_id=bench", server, size) + mark
        )
        with path.open("rb") as file:
            connection.sendfile(file, len(mark))
        answer = _read_all(connection)
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201"), answer
    object_id: str = json.loads(document)["id"]
    return object_id


def download(server: Server, object_ids: list[str], size: int) -> Transfer:
    """Receive bodies of `size` bytes at once, one a client, and drop them."""
    idle = _settle(server)
    targets = [f"/v1/objects/{object_id}?tenant_id=bench" for object_id in object_ids]
    heads = [_head("GET", target, server, None) for target in targets]
    cpu = server.cpu_s()
    mb_s = fetch_mb_s(server.port, heads, size)
    return Transfer(mb_s, server.cpu_s() - cpu, server.rss_mib("VmHWM") - idle, object_ids)


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


def _settle(server: Server) -> float:
    server.forget_peak()
    return server.rss_mib()


def _head(method: str, target: str, server: Server, size: int | None) -> bytes:
    length = "" if size is None else f"Content-Length: {size}\r\n"
    return (
        f"{method} {target} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {server.key}\r\n"
        f"{length}Connection: close\r\n\r\n"
    ).encode()


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
