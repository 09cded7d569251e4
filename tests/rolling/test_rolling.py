"""Two instances on one database, restarted one after the other while clients are at work."""

from __future__ import annotations

from typing import Any

from tests.rolling.client import Load


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
                load.go_on()
                old = servers[number]
                assert old.stop() == 0
                load.go_on()
                servers[number] = serve(environment=environment, port=old.address[1])
                servers[number].wait_workers(2)
            load.go_on()
        assert load.failures == []
        assert load.kept
        load.check_kept()
