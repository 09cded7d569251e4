"""A client that knows two addresses, and tries again only where it got no connection."""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import poll

__all__ = ["KEY", "Client", "Load"]

KEY = "the-key-of-these-tests-only"

_OBJECTS = "/v1/objects/by-key/ns/acme"
_PATIENCE_S = 60.0

Address = tuple[str, int]


class Client:
    """One connection at a time, kept as long as the server keeps it.

    A refused connection goes to the other address. Whatever goes wrong on a connection that was
    made is raised: nothing is sent a second time.
    """

    def __init__(self, addresses: list[Address], first: int) -> None:
        self._addresses = addresses
        self._next = first
        self._connection: http.client.HTTPConnection | None = None
        self.answered: Counter[Address] = Counter()
        self.refused = 0

    def call(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = self._connection or self._connect()
        self._connection = None
        connection.request(method, target, body=body, headers={"X-API-Key": KEY})
        response = connection.getresponse()
        content = response.read()
        self.answered[connection.host, connection.port] += 1
        # The server said `Connection: close`, or this address is not to be used any more.
        if connection.sock is None or (connection.host, connection.port) not in self._addresses:
            connection.close()
        else:
            self._connection = connection
        return response.status, content

    def _connect(self) -> http.client.HTTPConnection:
        for _ in range(20):
            addresses = list(self._addresses)
            self._next += 1
            connection = http.client.HTTPConnection(
                *addresses[self._next % len(addresses)], timeout=_PATIENCE_S
            )
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.refused += 1
                continue
            return connection
        raise ConnectionRefusedError("none of the addresses takes connections")

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()


class Load:
    """Threads that store, read back, list and delete, each object of its own, without a pause.

    Args:
        addresses: Shared with whoever runs the test: what is taken out is used no more.
    """

    def __init__(self, addresses: list[Address], threads: int = 4) -> None:
        self.addresses = addresses
        self.failures: list[str] = []
        self.kept: dict[str, str] = {}
        self._clients = [Client(addresses, number) for number in range(threads)]
        self._ended = threading.Event()

    @property
    def requests(self) -> int:
        """How many were answered so far."""
        return sum(client.answered.total() for client in self._clients)

    @property
    def refused(self) -> int:
        """How many connections were refused, and made elsewhere."""
        return sum(client.refused for client in self._clients)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Run it; at the end all threads have finished their round."""
        threads = [
            threading.Thread(target=self._work, args=(number, client), daemon=True)
            for number, client in enumerate(self._clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(_PATIENCE_S)
            for client in self._clients:
                client.close()

    def go_on(self, requests: int = 100) -> None:
        """Wait until this many more requests were answered, or one has failed."""
        enough = self.requests + requests
        poll(lambda: self.requests >= enough or self.failures, "requests are answered")

    def check_kept(self) -> None:
        """All that was stored and not deleted is there, byte for byte."""
        client = Client(self.addresses, 0)
        for target, expected in self.kept.items():
            status, content = client.call("GET", target)
            assert (status, hashlib.sha256(content).hexdigest()) == (200, expected), target
        client.close()

    def _work(self, number: int, client: Client) -> None:
        turn = 0
        while not self._ended.is_set():
            turn += 1
            try:
                self._round(client, f"{number}-{turn}", keeps=turn % 10 == 0)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                client.close()
                client._connection = None

    def _round(self, client: Client, name: str, *, keeps: bool) -> None:
        # Small ones go to the database at once, large ones are streamed.
        body = os.urandom(200_000 if keeps else 2_000)
        target = f"{_OBJECTS}/{name}"
        status, content = client.call("PUT", target, body)
        assert status == 201, (status, content)
        status, content = client.call("GET", target)
        assert (status, content) == (200, body), (status, content[:300])
        status, content = client.call("GET", "/v1/objects?tenant_id=acme&namespace=ns&limit=2")
        assert status == 200, (status, content)
        if keeps:
            self.kept[target] = hashlib.sha256(body).hexdigest()
            return
        status, content = client.call("DELETE", target)
        assert status == 204, (status, content)
