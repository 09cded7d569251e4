"""Two instances on one database, restarted one after the other while clients are at work."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.harness import poll
from tests.rolling.client import Client, Load


class TestRolling:
    def test_no_request_fails(self, serve: Any, environment: dict[str, Any]) -> None:
        """Clients that retry connections only see no failure, and find what they stored.

        They know both addresses and keep connections; nobody tells them of a restart.
        """
        servers = [serve(environment=environment) for _ in range(2)]
        for server in servers:
            server.wait_workers(2)
        load = Load([server.address for server in servers])
        with load.running():
            for number in (0, 1):
                some_more(load)
                old = servers[number]
                assert old.stop() == 0
                some_more(load)
                servers[number] = serve(environment=environment, port=old.address[1])
                servers[number].wait_workers(2)
            some_more(load)
        assert load.failures == []
        assert load.kept
        assert_kept(load)


def some_more(load: Load, requests: int = 200) -> None:
    """Wait until this many more requests were answered, or one has failed."""
    enough = load.requests + requests
    poll(lambda: load.requests >= enough or load.failures, "requests are answered")


def assert_kept(load: Load) -> None:
    """All that was kept is there, byte for byte."""
    client = Client(load.addresses, 0)
    for target, expected in load.kept.items():
        status, content = client.call("GET", target)
        assert (status, hashlib.sha256(content).hexdigest()) == (200, expected), target
    client.close()
