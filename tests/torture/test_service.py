"""What experiments need of the machine."""

from __future__ import annotations

import socket

from tests.torture.service import free_port


def _given_port() -> int:
    """One that the kernel gives."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_port_of_a_dead_server_is_given_to_no_client() -> None:
    """It is below all that the kernel gives those who connect."""
    lowest_given = min(_given_port() for _ in range(50))
    assert all(free_port() < lowest_given for _ in range(50))
