"""The sockets that this process listens with: looked for, as Granian keeps its own to itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

__all__ = ["listeners"]


def listeners(port: int) -> Iterator[socket.socket]:
    """Duplicates of this process's sockets that listen on a port of TCP."""
    for link in list(Path("/proc/self/fd").iterdir()):
        try:
            if not str(link.readlink()).startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(link.name)))
        except OSError:
            continue  # closed meanwhile
        is_ours = (
            found.family in (socket.AF_INET, socket.AF_INET6)
            and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            and found.getsockname()[1] == port
        )
        if is_ours:
            yield found
        else:
            found.close()
