"""An older release and this one, side by side on one database, across a migration.

The older one is a commit of this repository, built from its history. Shown is that what that
release does to the database and to the volume is good for this one and the other way round, while
both are at work, and that a migration under load fails no request. The older release runs on
today's libraries: nothing is shown about their old versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rolling.client import Load
from tests.rolling.release import Release, built

OLD = "eb3294d6ae18fe770abf12cde9ad5fcce7cf3d6f"
"""The last one with the schema 0004."""


@pytest.fixture
def releases(
    settings: dict[str, str], empty_postgres_url: str, tmp_path: Path
) -> tuple[Release, Release]:
    """The older release and this one, on one empty database and one volume."""
    shared = {**settings, "JUSTSTORAGE__METADATA__POSTGRES__URL": empty_postgres_url}
    # Unknown to the older one: it is told nothing of it.
    old = {**shared, "JUSTSTORAGE__SERVER__DRAIN_DELAY_S": ""}
    return Release(old, built(OLD, tmp_path)), Release(shared)


class TestSideBySide:
    def test_a_rolling_upgrade_fails_no_request(
        self, serve: Any, releases: tuple[Release, Release]
    ) -> None:
        """Two old instances, a migration beneath them, and one after the other replaced.

        The older release does not tell its clients that it goes, so they are told by the test, as a
        balancer would be, before it is stopped.
        """
        old, new = releases
        before = old.run("migrate", "up")
        servers = [serve(environment=old.environment) for _ in range(2)]
        for server in servers:
            server.wait_workers(2)
        load = Load([server.address for server in servers])
        with load.running():
            load.go_on()
            assert new.run("migrate", "up") != before
            load.go_on()
            for number, server in enumerate(servers):
                assert server.call("GET", "/health/ready")[0] == 200
                load.addresses.remove(server.address)
                load.go_on()
                assert server.stop() == 0
                servers[number] = serve(environment=new.environment, port=server.address[1])
                servers[number].wait_workers(2)
                load.addresses.append(server.address)
                load.go_on()
        assert load.failures == []
        assert load.kept
        load.check_kept()
        new.run("fsck")

    def test_the_old_one_does_not_start_on_the_new_schema(
        self, serve: Any, releases: tuple[Release, Release]
    ) -> None:
        """It cannot know what a later migration did. The way back is down."""
        old, new = releases
        new.run("migrate", "up")
        server = serve.launch(environment=old.environment)
        assert server.wait_exit() == 2
        assert "newer than this version's 0004" in "".join(server.lines)
        new.run("migrate", "down", "0004", "--yes")
        again = serve(environment=old.environment)
        assert again.call("GET", "/health/ready")[0] == 200
        assert again.stop() == 0
