"""What PostgreSQL can do here by itself, measured with its own `pgbench`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from juststorage_postgres.testing import LocalServer

__all__ = ["PgBench", "has_pgbench"]

_CLIENTS = 32


def has_pgbench(server: LocalServer) -> bool:
    """Whether it is beside the binaries of a server."""
    return (server.binaries / "pgbench").exists()


class PgBench:
    """It, with its tables filled.

    Args:
        server: Where its tables are.
        folder: For its script.
    """

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self._server = server
        self._script = folder / "insert.sql"
        self._script.write_text("INSERT INTO bench_insert (content) VALUES (repeat('x', 64));\n")
        table = "CREATE TABLE bench_insert (id bigserial PRIMARY KEY, content text)"
        self._run("psql", "--quiet", "--command", table, "postgres")
        self._run("pgbench", "--initialize", "--scale=10", "--quiet", "postgres")

    def selects_per_s(self, seconds: float) -> float:
        """Selects of one row by key, from 32 clients."""
        return self._bench("--select-only", seconds)

    def inserts_per_s(self, seconds: float) -> float:
        """Durable transactions that insert one row each, from 32 clients."""
        return self._bench(f"--file={self._script}", seconds)

    def _bench(self, what: str, seconds: float) -> float:
        out = self._run(
            "pgbench",
            *("--no-vacuum", what, "--protocol=prepared", f"--client={_CLIENTS}", "--jobs=1"),
            *(f"--time={max(1, round(seconds))}", "postgres"),
        )
        found = re.search(r"tps = ([\d.]+)", out)
        assert found is not None, out
        return float(found[1])

    def _run(self, program: str, *arguments: str) -> str:
        where = ("--host", str(self._server.root), "--username", "postgres")
        return subprocess.run(
            [self._server.binaries / program, *where, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
