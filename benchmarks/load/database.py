"""PostgreSQL for the service that is measured: a server of its own, durable, with its processor time."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)

__all__ = ["Database", "running_database"]

_TICKS = os.sysconf("SC_CLK_TCK")
_CLIENTS = 32


class Database:
    """A database with the newest schema on a running server.

    Args:
        server: The server, which nobody else uses.
        url: The database.
    """

    def __init__(self, server: LocalServer, url: str) -> None:
        self._server = server
        self.url = url

    def environment(self) -> dict[str, str]:
        """Variables that make `juststorage serve` use it, with a hot store beside its data."""
        return {
            "JUSTSTORAGE__METADATA__BACKEND": "postgres",
            "JUSTSTORAGE__METADATA__POSTGRES__URL": self.url,
            "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
            "JUSTSTORAGE__AUTH__CHAIN": '["api_key"]',
            "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": f"jsk_{secrets.token_hex(8)}_"
            + secrets.token_urlsafe(32),
        }

    def cpu_s(self) -> float:
        """Processor seconds of all processes of the server, those that have ended included."""
        ticks = 0
        postmaster = (self._server.root / "data/postmaster.pid").read_text().split()[0]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if postmaster in (fields[1], stat.parent.name):
                    ticks += int(fields[11]) + int(fields[12])
                if stat.parent.name == postmaster:
                    ticks += int(fields[13]) + int(fields[14])
        return ticks / _TICKS

    def pgbench_per_s(self, script: Path | None, seconds: float) -> float:
        """Transactions per second of a script, or of pgbench's one-row select, from 32 clients.

        Returns:
            Nan where `pgbench` is not beside the server's binaries.
        """
        program = self._server.binaries / "pgbench"
        if not program.exists():
            return float("nan")
        target = ("--host", str(self._server.root), "--username", "postgres", "postgres")
        if script is None:
            self._run(program, "--initialize", "--scale=10", "--quiet", *target)
        what = ["--select-only"] if script is None else [f"--file={script}"]
        out = self._run(
            program, "--no-vacuum", *what, "--protocol=prepared", f"--client={_CLIENTS}",
            "--jobs=1", f"--time={max(1, round(seconds))}", *target,
        )  # fmt: skip
        found = re.search(r"tps = ([\d.]+)", out)
        assert found is not None, out
        return float(found[1])

    def one_insert_per_s(self, folder: Path, seconds: float) -> float:
        """Transactions per second that insert one row each, durably, from 32 clients."""
        script = folder / "insert.sql"
        script.write_text("INSERT INTO bench_insert (content) VALUES (repeat('x', 64));\n")
        psql = self._server.binaries / "psql"
        self._run(
            psql, "--quiet", "--host", str(self._server.root), "--username", "postgres",
            "--command", "CREATE UNLOGGED TABLE IF NOT EXISTS bench_none (); "
            "CREATE TABLE IF NOT EXISTS bench_insert (id bigserial PRIMARY KEY, content text)",
        )  # fmt: skip
        return self.pgbench_per_s(script, seconds)

    @staticmethod
    def _run(*command: str | Path) -> str:
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        return ran.stdout


@contextmanager
def running_database(**settings: str) -> Iterator[Database]:
    """A database on a new server, with fsync on, gone afterwards."""
    with own_server() as server:
        with made_database(PostgresServer(server.url(), "own", server)) as url:
            migrate(url)
            yield Database(server, url)
