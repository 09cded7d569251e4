"""Starting the real `juststorage serve` on any of the metadata stores, for a whole run of tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from juststorage_postgres.testing import PostgresServer, made_database
from tests.harness import Server
from tests.wire.wire import KEY, Service

__all__ = ["served", "unexpected"]


@contextmanager
def served(
    metadata: str, request: pytest.FixtureRequest, directory: Path, settings: str = ""
) -> Iterator[Service]:
    """A running server; what it logged is looked through at the end.

    Args:
        metadata: `sqlite` or `postgres`.
        request: Where the fixtures of PostgreSQL come from.
        directory: For everything that the server writes.
        settings: More of the configuration, as TOML.
    """
    config = directory / "juststorage.toml"
    (directory / "data").mkdir()
    with ExitStack() as stack:
        url = "unused"
        if metadata == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            template: str = request.getfixturevalue("postgres_template")
            url = stack.enter_context(made_database(server, template))
        config.write_text(
            f'data_dir = "{directory}/data"\n'
            f'metadata = {{ backend = "{metadata}", postgres = {{ url = "{url}" }} }}\n'
            '[blobs.hot]\nbackend = "localfs"\nlocalfs = { create_root = true }\n'
            '[blobs.cold]\nbackend = "localfs"\nlocalfs = { create_root = true }\n'
            f'[auth.api_key]\nbootstrap_key = "{KEY}"\n' + settings
        )
        started = Server(["--config", str(config), "--port", "0"], dict(os.environ), directory)
        stack.callback(started.end)
        started.wait_listening()
        yield Service(started.address[1], metadata)
        started.process.terminate()
        assert started.wait_exit() == 0
        # Whatever was sent: nothing that nobody expected happened inside.
        assert not (failed := list(unexpected(started.lines))), failed


def unexpected(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a log that tell of what no caller may cause.

    A traceback, an answer 500, and what is no line of the log at all.
    """
    for line in lines:
        try:
            status = json.loads(line)["fields"].get("status")
        except (ValueError, LookupError, TypeError, AttributeError):
            yield line
        else:
            if status == 500 or "Traceback" in line:
                yield line
