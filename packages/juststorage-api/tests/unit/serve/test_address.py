"""Holding an address."""

from __future__ import annotations

import socket

import pytest

from juststorage.errors import Misconfigured
from juststorage_api._serve._address import HeldAddress


def listen_shared(address: HeldAddress) -> socket.socket:
    """Listen the way a Granian worker does."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address.ip, address.port))
    listener.listen()
    return listener


class TestTaking:
    def test_a_taken_port_is_refused(self) -> None:
        """A port where anyone listens is refused, willing to share or not."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(Misconfigured, match=f"{port}.*in use"):
                HeldAddress.take("127.0.0.1", port)

    def test_a_held_port_is_refused_to_others(self) -> None:
        """Two servers never get the same port, even before either listens."""
        address = HeldAddress.take("127.0.0.1", 0)
        try:
            with listen_shared(address), pytest.raises(Misconfigured, match="in use"):
                HeldAddress.take("127.0.0.1", address.port)
        finally:
            address.close()

    @pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "1.2.3.4.5"])
    def test_a_name_that_does_not_resolve(self, host: str) -> None:
        """The setting is named."""
        with pytest.raises(Misconfigured, match=r"server\.host"):
            HeldAddress.take(host, 0)

    def test_an_address_of_another_machine(self) -> None:
        """An address that no interface has is refused (203.0.113.0/24 is for documentation)."""
        with pytest.raises(Misconfigured, match=r"203\.0\.113\.1"):
            HeldAddress.take("203.0.113.1", 0)


class TestHolding:
    def test_a_port_of_the_systems_choice_is_known(self) -> None:
        """Port 0 becomes a real one, which workers can listen on together."""
        address = HeldAddress.take("127.0.0.1", 0)
        try:
            assert address.port > 0
            with listen_shared(address) as first, listen_shared(address) as second:
                assert first.getsockname() == second.getsockname()
        finally:
            address.close()

    def test_the_holder_takes_no_connection(self) -> None:
        """Every connection goes to a worker: the socket that holds the address does not listen."""
        address = HeldAddress.take("127.0.0.1", 0)
        try:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address.ip, address.port))
            with listen_shared(address) as listener:
                listener.settimeout(10)
                for _ in range(10):
                    with socket.create_connection((address.ip, address.port)):
                        listener.accept()[0].close()
        finally:
            address.close()

    @pytest.mark.parametrize(
        ("host", "shown"),
        [
            ("127.0.0.1", "http://127.0.0.1:"),
            ("localhost", "http://127.0.0.1:"),
            ("0.0.0.0", "http://127.0.0.1:"),
        ],
    )
    def test_the_url_is_one_to_connect_to(self, host: str, shown: str) -> None:
        """The log shows an address that a client on this machine can use."""
        address = HeldAddress.take(host, 0)
        address.close()
        assert address.url == f"{shown}{address.port}"

    def test_ipv6_is_in_brackets(self) -> None:
        """An IPv6 address in a URL needs brackets."""
        holder = socket.socket()
        holder.close()
        assert HeldAddress("::1", 80, holder).url == "http://[::1]:80"
        assert HeldAddress("::", 80, holder).url == "http://[::1]:80"
