"""Points in a command that talks to a server: before each word to it, and each word from it.

Only a forked child of the nursery is changed by this, and only one that is to be killed.
"""

from __future__ import annotations

import socket
from typing import Any

from tests.torture.backends import reach
from tests.torture.points import Kind

__all__ = ["put_points"]


def put_points() -> None:
    """Put a point before each call by which this process sends or receives."""
    for name in ("send", "sendall", "recv"):
        setattr(socket.socket, name, _pointed(name, getattr(socket.socket, name)))


def _pointed(name: str, method: Any) -> Any:
    def call(self: socket.socket, *args: Any) -> Any:
        reach(name, Kind.WORD)
        return method(self, *args)

    return call
