"""The gate in front of a listening socket."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from juststorage_api._serve._gate import shut_gate


def test_who_waits_is_taken_and_who_comes_is_ignored_then_refused() -> None:
    """No connection is reset: neither one in the queue, nor one that comes too late."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    waiting = socket.create_connection(address, timeout=10)
    waiting.sendall(b"a request")
    shut_gate(address[1])
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(socket.create_connection, address, timeout=30)
        with pytest.raises(TimeoutError):
            late.result(0.2)
        taken, _ = listener.accept()
        assert taken.recv(100) == b"a request"
        taken.sendall(b"an answer")
        listener.close()
        assert waiting.recv(100) == b"an answer"
        # Its kernel asks again, as TCP does; by now somebody is there to refuse.
        with pytest.raises(ConnectionRefusedError):
            late.result(30)
    waiting.close()
    taken.close()


def test_other_ports_stay_open() -> None:
    """Only the port that is closed is: a port for metrics answers to the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shut_gate(1)
        with socket.create_connection(listener.getsockname(), timeout=10):
            listener.accept()[0].close()
