"""The service under torture: its stores, its configuration, and requests to it."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import anyio

from tests.torture.journal import Answer, Broken

__all__ = [
    "API_KEY",
    "STORES",
    "Store",
    "call",
    "exchange",
    "free_port",
    "opened_store",
    "write_config",
]

API_KEY = "a-key-for-this-experiment-alone"
STORES = ("sqlite", "postgres")
POOL_SIZE = 8
"""Connections of each process to PostgreSQL, at most."""


@dataclass(frozen=True)
class Store:
    """A metadata store of its own for one experiment."""

    kind: str
    folder: Path
    url: str = ""
    blobs: Mapping[str, Any] | None = None
    """The section `[blobs]`, where it is not `localfs` in this folder."""

    spare_url: str = ""
    """Another PostgreSQL database, with the schema, for what is put back."""

    def section(
        self, options: Mapping[str, Any] | None = None, *, pointed: bool = False
    ) -> dict[str, Any]:
        """The section `[metadata]`."""
        backend = ("pointed_" if pointed else "") + self.kind
        own = {} if self.kind == "sqlite" else {"url": self.url, "pool_size": POOL_SIZE}
        return {"backend": backend, backend: {**own, **(options or {})}}

    def sql(self, *statements: str, patience_s: float = 30) -> None:
        """Run statements behind the service's back.

        Raises:
            sqlite3.OperationalError: Another process wrote for longer than `patience_s`.
        """
        if self.kind == "postgres":
            from juststorage_postgres.testing import run_sql

            run_sql(self.url, *statements)
            return
        path = self.folder / "data" / "metadata.sqlite3"
        with closing(sqlite3.connect(path, timeout=patience_s, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    def count(self, what: str) -> int:
        """How many rows there are: a table, and perhaps a condition."""
        query = f"SELECT count(*) FROM {what}"
        if self.kind == "postgres":
            return anyio.run(_fetch_value, self.url, query)
        path = self.folder / "data" / "metadata.sqlite3"
        with closing(sqlite3.connect(path, timeout=30)) as db:
            [[number]] = db.execute(query)
        return int(number)

    def now(self) -> int:
        """PostgreSQL's clock: whole seconds since 1970."""
        query = "SELECT floor(extract(epoch FROM clock_timestamp()))"
        return anyio.run(_fetch_value, self.url, query)

    def expire_leases(self, *, patience_s: float = 30) -> None:
        """Let the time go by after which uploads that show no life are taken for dead.

        Where a writer of SQLite stands in the way for longer than `patience_s`, it does not.
        """
        past = "1" if self.kind == "sqlite" else "clock_timestamp() - interval '1 hour'"
        with suppress(sqlite3.OperationalError):
            self.sql(
                f"UPDATE objects SET lease_expires_at = {past} WHERE status = 'WRITING'",
                patience_s=patience_s,
            )


async def _fetch_value(url: str, query: str) -> int:
    import asyncpg  # type: ignore[import-untyped]

    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


@contextmanager
def opened_store(kind: str, folder: Path) -> Iterator[Store]:
    """An empty store; PostgreSQL on a server of its own, unless one is named (`scripts/test`)."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        yield Store(kind, folder)
        return
    from juststorage_postgres.testing import made_database, migrate, running_server

    with (
        running_server() as server,
        made_database(server) as url,
        made_database(server) as spare_url,
    ):
        migrate(url)
        migrate(spare_url)
        yield Store(kind, folder, url, spare_url=spare_url)


def config_of(
    store: Store,
    *,
    pointed: bool = False,
    options: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> dict[str, Any]:
    """A configuration in which nothing has to be waited for; `sections` win.

    Args:
        store: Where the metadata is.
        pointed: Use the backends with points.
        options: Of the metadata store.
        sections: To be merged into those of the same name.
    """
    backend = "pointed_localfs" if pointed else "localfs"
    config: dict[str, Any] = {
        "data_dir": str(store.folder / "data"),
        "metadata": store.section(options, pointed=pointed),
        "blobs": store.blobs
        or {
            name: {
                "backend": backend,
                backend: {"root": str(store.folder / name), "create_root": True},
            }
            for name in ("hot", "cold")
        },
        "auth": {"api_key": {"bootstrap_key": API_KEY}},
        "uploads": {"lease_s": 10},
        "gc": {
            "enabled": False,
            "interval_s": 0.05,
            "grace_s": 0,
            "claim_s": 0,
            "trash_retention_s": 2,
            "staging_grace_s": 2,
            "tombstone_retention_s": 1,
        },
        "log": {"level": "info"},  # whether it says a secret is looked for in all that it says
    }
    for name, values in sections.items():
        config[name] = {**config.get(name, {}), **values}
    return config


def write_config(path: Path, config: Mapping[str, Any]) -> Path:
    """Write a configuration as TOML."""

    def lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
        if name:
            yield f"[{name}]"
        for key, value in table.items():
            if not isinstance(value, Mapping):
                yield f"{key} = {json.dumps(value)}"
        for key, value in table.items():
            if isinstance(value, Mapping):
                yield from lines(value, f"{name}.{key}" if name else key)

    path.write_text("\n".join(lines(config, "")) + "\n")
    return path


_PORTS_FROM = 10_000


def free_port() -> int:
    """A port that is free now, and that the kernel gives nobody who connects.

    Else a client may have it while a server that was killed is away, and be the one that knocks.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(_PORTS_FROM, first)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def exchange(
    port: int,
    method: str,
    target: str,
    body: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> tuple[Answer, Message] | None:
    """Answer and header, or None when the connection ended without a whole answer.

    Raises:
        Broken: It is whole, and its bytes do not have the hash of its entity tag.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, target, body, {"X-API-Key": API_KEY, **(headers or {})})
        received = connection.getresponse()
        answer = received.status, received.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if method == "GET" and answer[0] == 200:
        _check_tag(target, answer[1], received.headers["ETag"])
    return answer, received.headers


def _check_tag(target: str, body: bytes, tag: str | None) -> None:
    """Of a whole object; what has no entity tag is none."""
    if tag is not None and tag != f'"sha256:{hashlib.sha256(body).hexdigest()}"':
        raise Broken(f"GET {target}: 200 with {len(body)} bytes that do not have the hash of {tag}")


def call(
    port: int, method: str, target: str, body: bytes | None = None, **options: Any
) -> Answer | None:
    """Status and body, or None when the connection ended without a whole answer."""
    exchanged = exchange(port, method, target, body, **options)
    return None if exchanged is None else exchanged[0]
