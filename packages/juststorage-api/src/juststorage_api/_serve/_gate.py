"""Closing a listening socket without losing whoever is just connecting.

A connection that the kernel has accepted and the server has not is reset when the listening socket
closes, with the request that may be in it; its client cannot know that nobody saw that. So first
the kernel is told to ignore newcomers, then the server takes those that are there, and only then
the socket closes. Who was ignored tries again after a second, as TCP does, and is refused: that is
an answer which any client may take to somebody else.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
from typing import Final

from juststorage_api._serve._listeners import listeners

__all__ = ["GATE_S", "shut_gate"]

GATE_S: Final = 0.1
"""Ample for a server that runs to take the connections that wait for it."""

_SO_ATTACH_FILTER: Final = 26

_FLAGS_AT, _SYN, _SYN_ACK = 13, 0x02, 0x12
_PROGRAM: Final = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS_AT),  # the flags of the TCP header
        (0x54, 0, 0, _SYN_ACK),
        (0x15, 0, 1, _SYN),  # is it the first packet of a connection?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFF_FFFF),  # take all others, whole
    )
)
"""A filter of the classic kind, as socket(7) describes; attaching one needs no privilege."""

_log = logging.getLogger("juststorage.serve")


def shut_gate(port: int) -> None:
    """Have the kernel drop new connections to our listening sockets, but none that it has taken.

    Where that is not to be had, the caller closes as ever, and a client that connects in that very
    moment sees its connection reset.

    Args:
        port: Where this process listens.
    """
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    value = struct.pack("@HP", len(_PROGRAM) // 8, ctypes.addressof(program))
    try:
        for listener in listeners(port):
            with listener:
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    except OSError as error:
        _log.info("stopping: newcomers cannot be held off: %s", error.strerror)
