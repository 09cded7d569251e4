"""The address to listen on, found and held before anything is opened.

Granian's workers bind with SO_REUSEPORT, each its own socket. So would a second server, and the
kernel would deal connections out to both. Hence the address is bound once without it: that fails
when anyone listens there. From then on sharing is allowed, and the socket, which never listens,
keeps the address for our workers while they start and restart; it is also how they agree on a port
that the system chose.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Self

from juststorage.errors import Misconfigured

__all__ = ["HeldAddress"]


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address that is ours until `close`.

    Args:
        ip: In digits, as Granian wants it.
        port: The real one, also where 0 was asked for.
    """

    ip: str
    port: int
    _socket: socket.socket

    @classmethod
    def take(cls, host: str, port: int) -> Self:
        """Resolve and hold an address.

        Raises:
            Misconfigured: The name is unknown, or the address is taken, foreign or forbidden.
        """
        family, address = _resolve(host, port)
        holder = socket.socket(family, socket.SOCK_STREAM)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(address)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            holder.close()
            raise Misconfigured(
                f"server.port: cannot listen on {host} port {port}: {error.strerror}"
            ) from error
        return cls(ip=address[0], port=holder.getsockname()[1], _socket=holder)

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.ip, self.ip)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        """Give the address up."""
        self._socket.close()


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (socket.gaierror, UnicodeError) as error:
        raise Misconfigured(f"server.host: the name {host!r} does not resolve") from error
    # `localhost` is often both; every client tries IPv4, not every one IPv6.
    found.sort(key=lambda entry: entry[0] is not socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))
