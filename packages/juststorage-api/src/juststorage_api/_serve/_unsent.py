"""How far the kernel may run ahead of a client that reads slowly.

By itself it takes some 3 MB for each: of 200 that begin at once, that is five seconds of work for
nobody, and memory that no figure of the process shows. What it has not sent yet is bounded here,
not what is under way, so a client that is far but fast is as fast as ever (docs/performance.md).
"""

from __future__ import annotations

import logging
import socket
from typing import Final

from juststorage_api._serve._listeners import listeners

__all__ = ["UNSENT_BYTES_MAX", "bound_unsent"]

UNSENT_BYTES_MAX: Final = 256 * 1024

_log = logging.getLogger("juststorage.serve")


def bound_unsent(port: int) -> bool:
    """Bound what waits in the kernel of each connection that is accepted from now on.

    Where that is not to be had, it takes as much as ever.

    Args:
        port: Where this process listens.

    Returns:
        Whether it listens there already.
    """
    found = False
    try:
        for listener in listeners(port):
            with listener:
                found = True
                # Connections have it from the socket that they come to.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
    except OSError as error:
        _log.info("what waits for slow clients is not bounded: %s", error.strerror)
    return found
