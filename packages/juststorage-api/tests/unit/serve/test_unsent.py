"""What waits in the kernel for a client that does not read."""

from __future__ import annotations

import socket

from juststorage_api._serve._unsent import UNSENT_BYTES_MAX, bound_unsent


def test_connections_have_it_from_their_listening_socket() -> None:
    """It is set once, and holds for all that come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert bound_unsent(listener.getsockname()[1])
        with socket.create_connection(listener.getsockname(), timeout=10):
            accepted, _ = listener.accept()
            with accepted:
                unsent_max = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    assert unsent_max == UNSENT_BYTES_MAX


def test_who_does_not_listen_yet_is_told() -> None:
    """The server looks again until it does."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert not bound_unsent(silent.getsockname()[1])
