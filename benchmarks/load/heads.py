"""HEAD from many clients; wrk would wait for the body that never comes."""

from __future__ import annotations

import random
import selectors
import socket
import time
from pathlib import Path

from benchmarks.load.server import Server

__all__ = ["answer_times"]

_ANSWER_BYTES_MAX = 65536


def answer_times(
    server: Server, ids: Path, *, clients: int, seconds: float
) -> tuple[list[float], int]:
    """Ask on `clients` connections, one request under way on each.

    Returns:
        How long each answer took, in seconds, and how many were not 200.
    """
    targets = [
        f"HEAD /v1/objects/{name}?tenant_id=bench HTTP/1.1\r\nHost: bench\r\n"
        f"X-API-Key: {server.key}\r\n\r\n".encode()
        for name in ids.read_text().split()
    ]
    took, errors = [], 0
    with selectors.EpollSelector() as ready:
        asked: dict[int, float] = {}
        connections = {}
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", server.port))
            ready.register(connection, selectors.EVENT_READ)
            connections[connection.fileno()] = connection
            asked[connection.fileno()] = time.perf_counter()
            connection.sendall(random.choice(targets))
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            answered = ready.select(timeout=1)
            now = time.perf_counter()
            for key, _ in answered:
                connection = connections[key.fd]
                # One piece: the server sends a head with one call.
                errors += not connection.recv(_ANSWER_BYTES_MAX).startswith(b"HTTP/1.1 200")
                took.append(now - asked[key.fd])
                asked[key.fd] = now
                connection.sendall(random.choice(targets))
        for connection in connections.values():
            connection.close()
    return took, errors
