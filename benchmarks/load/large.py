"""One large body at a time over a plain socket, with as little work for the client as there is."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.load.server import Server

__all__ = ["Transfer", "download", "source", "upload"]

MB = 1_000_000


class Transfer(NamedTuple):
    """One measurement of a large body."""

    mb_s: float
    cpu_s: float
    rss_growth_mib: float
    object_id: str


def source(folder: Path, size: int) -> Path:
    """A file of `size` bytes that no other run has."""
    path = folder / "source"
    block = os.urandom(16 * 1024 * 1024)
    with path.open("wb") as file:
        for number in range(size // len(block)):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def refresh(path: Path) -> None:
    """Make the content new, so that it is not stored already."""
    with path.open("r+b") as file:
        file.write(os.urandom(64))


def upload(server: Server, path: Path) -> Transfer:
    """Send a file, which the kernel copies to the socket by itself."""
    refresh(path)
    size = path.stat().st_size
    idle = _settle(server)
    cpu, started = server.cpu_s(), time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            _head("POST", "/v1/objects?namespace=bench&tenant_id=bench", server, size)
        )
        with path.open("rb") as file:
            connection.sendfile(file)
        answer = _read_all(connection)
    spent = time.perf_counter() - started
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201"), answer
    return Transfer(
        size / spent / MB,
        server.cpu_s() - cpu,
        server.rss_mib("VmHWM") - idle,
        json.loads(document)["id"],
    )


def download(server: Server, object_id: str, size: int) -> Transfer:
    """Receive a body into one buffer and drop it."""
    buffer = bytearray(1024 * 1024)
    idle = _settle(server)
    cpu, started = server.cpu_s(), time.perf_counter()
    received = 0
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(_head("GET", f"/v1/objects/{object_id}?tenant_id=bench", server, None))
        while count := connection.recv_into(buffer):
            received += count
    spent = time.perf_counter() - started
    assert received > size, "the body is short"
    return Transfer(
        size / spent / MB, server.cpu_s() - cpu, server.rss_mib("VmHWM") - idle, object_id
    )


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
