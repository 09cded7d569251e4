"""A client that does not read: the kernel keeps little of what it asked for."""

from __future__ import annotations

import http.client
import os
import socket
import time
from pathlib import Path
from typing import Any

from juststorage_api._serve._unsent import UNSENT_BYTES_MAX

KEY = "the-key-of-these-tests-only"
SIZE = 8 * 1024 * 1024
TARGET = "/v1/objects/by-key/models/acme/large"


def waiting_bytes(server_port: int, client_port: int) -> int:
    """What the kernel holds for the client: not sent yet, or not acknowledged."""
    ends = f":{server_port:04X}", f":{client_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(ends[0]) and remote.endswith(ends[1]):
            return int(queues.partition(":")[0], 16)
    return 0


def test_little_waits_for_a_client_that_does_not_read(serve: Any) -> None:
    """Several megabytes did: of each client, and in no figure of the process."""
    server = serve()
    headers = {"Authorization": f"ApiKey {KEY}"}
    put = http.client.HTTPConnection(*server.address)
    put.request("PUT", TARGET, os.urandom(SIZE), headers)
    assert put.getresponse().status == 201
    put.close()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(server.address)
        slow.sendall(
            f"GET {TARGET} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {KEY}\r\n\r\n".encode()
        )
        ports = server.address[1], slow.getsockname()[1]
        seen = [0]
        # It has come to rest once nothing is added for a while.
        while seen[-1] == 0 or len(seen) < 20 or seen[-1] != seen[-10]:
            time.sleep(0.02)
            seen.append(waiting_bytes(*ports))
    # Beyond the bound, what was under way when it was reached: one write, and the client's window.
    assert UNSENT_BYTES_MAX // 2 < seen[-1] < 4 * UNSENT_BYTES_MAX
