"""What PostgreSQL can do here by itself, measured with its own `pgbench`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from juststorage_postgres.testing import LocalServer

__all__ = ["inserts_per_s", "selects_per_s"]

_CLIENTS = 32


def selects_per_s(server: LocalServer, seconds: float) -> float:
    """Selects of one row by key, from 32 clients; nan where there is no `pgbench`."""
    program = server.binaries / "pgbench"
    if not program.exists():
        return float("nan")
    _run(program, "--initialize", "--scale=10", "--quiet", *_where(server), "postgres")
    return _bench(server, ["--select-only"], seconds)


def inserts_per_s(server: LocalServer, folder: Path, seconds: float) -> float:
    """Durable transactions that insert one row each, from 32 clients; nan without `pgbench`."""
    if not (server.binaries / "pgbench").exists():
        return float("nan")
    script = folder / "insert.sql"
    script.write_text("INSERT INTO bench_insert (content) VALUES (repeat('x', 64));\n")
    table = "CREATE TABLE bench_insert (id bigserial PRIMARY KEY, content text)"
    _run(server.binaries / "psql", "--quiet", *_where(server), "--command", table, "postgres")
    return _bench(server, [f"--file={script}"], seconds)


def _bench(server: LocalServer, what: list[str], seconds: float) -> float:
    out = _run(
        server.binaries / "pgbench",
        *("--no-vacuum", *what, "--protocol=prepared", f"--client={_CLIENTS}", "--jobs=1"),
        *(f"--time={max(1, round(seconds))}", *_where(server), "postgres"),
    )
    found = re.search(r"tps = ([\d.]+)", out)
    assert found is not None, out
    return float(found[1])


def _where(server: LocalServer) -> tuple[str, ...]:
    return ("--host", str(server.root), "--username", "postgres")


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
