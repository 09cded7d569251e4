"""The metadata stores that races run on, and the races that a store cannot have.

A further store is one line in `STORES`.
"""

from __future__ import annotations

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
from msgspec.structs import replace

from juststorage.domain import BlobKey
from juststorage.plugins._guards import unwrap
from juststorage_postgres.testing import PostgresServer, made_database, run_sql

__all__ = ["LEFT_OUT", "RACES", "STORES", "Tools"]

RACES = [f"R{number:02}" for number in range(1, 23)]

_NO_DISK = "has no disk: nothing is synced, cut off from power or on another filesystem"

_NEVER_DIES = "ends a transaction only together with the process that began it"

LEFT_OUT: dict[str, dict[str, str]] = {
    "test_r14": {"memory": _NO_DISK},
    "test_r15": {"memory": _NO_DISK},
    "test_r16": {"memory": _NO_DISK},
    "test_r19_a_transaction_that_the_server_ended": {
        "memory": _NEVER_DIES,
        "sqlite": _NEVER_DIES,
    },
    "test_r22": {"memory": "cannot be copied, so there is no earlier time to restore it to"},
}
"""How the names of tests begin: store: why that store cannot have them."""


class Tools(ABC):
    """What a test does to a database behind the service's back."""

    blobs = "localfs"

    def __init__(self, root: Path, fixture: Callable[[str], Any]) -> None:
        self.root = root

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """The section `[metadata]`."""

    @abstractmethod
    async def set_count(self, process: Any, key: BlobKey, count: int) -> None:
        """Drift: write another ref_count, as a bug or careless SQL would."""

    def backup(self, world: Any) -> AbstractAsyncContextManager[None]:
        """Copy the database now; at the end of the block the copy is in its place.

        No process may run at either end.
        """
        raise NotImplementedError(LEFT_OUT["test_r22"]["memory"])

    @abstractmethod
    async def is_locked(self, process: Any, key: BlobKey) -> bool:
        """Whether no upload could count on the blob's row now."""


class Memory(Tools):
    """Everything in one process."""

    blobs = "memory"

    def metadata(self) -> dict[str, Any]:
        return {"backend": "memory"}

    async def set_count(self, process: Any, key: BlobKey, count: int) -> None:
        rows = unwrap(process.runtime.metadata).blobs._rows
        now = process.runtime.clock.now()
        rows.blobs[key] = replace(
            rows.blobs[key], ref_count=count, zero_since=None if count else now
        )

    async def is_locked(self, process: Any, key: BlobKey) -> bool:
        return bool(unwrap(process.runtime.metadata).blobs._rows.is_locked(key))


class Sqlite(Tools):
    """A file."""

    @property
    def path(self) -> Path:
        """The database."""
        return self.root / "metadata.sqlite3"

    def metadata(self) -> dict[str, Any]:
        return {"backend": "sqlite"}

    def sql(self, statement: str, *values: Any, foreign_keys: bool = False) -> None:
        """Run a statement in a connection of its own, which waits for nobody."""
        with closing(sqlite3.connect(self.path, timeout=0)) as db, db:
            db.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")
            db.execute(statement, values)

    @asynccontextmanager
    async def backup(self, world: Any) -> AsyncIterator[None]:
        copy = self.path.with_name("backup")
        shutil.copy(self.path, copy)
        yield
        for each in self.root.glob(f"{self.path.name}*"):
            each.unlink()  # the log of the later database would be replayed into the earlier one
        shutil.copy(copy, self.path)

    async def set_count(self, process: Any, key: BlobKey, count: int) -> None:
        self.sql(
            "UPDATE blobs SET ref_count = ?1, zero_since = CASE ?1 WHEN 0 THEN 1 END"
            " WHERE content_hash = ?2 AND storage_class = ?3",
            count,
            key.content_hash,
            key.storage_class,
        )

    async def is_locked(self, process: Any, key: BlobKey) -> bool:
        try:
            self.sql("UPDATE blobs SET ref_count = ref_count WHERE false")
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        return False


class Postgres(Tools):
    """A database on the server of the tests."""

    def __init__(self, root: Path, fixture: Callable[[str], Any]) -> None:
        super().__init__(root, fixture)
        self.url: str = fixture("postgres_url")
        self._server: PostgresServer = fixture("postgres_server")
        self._stack: ExitStack = fixture("exit_stack")

    def metadata(self) -> dict[str, Any]:
        return {"backend": "postgres", "postgres": {"url": self.url, "connect_wait_s": 0}}

    def sql(self, statement: str) -> None:
        """Run a statement."""
        run_sql(self.url, statement)

    def end_idle_transactions(self) -> None:
        """What `idle_in_transaction_session_timeout` does, at once."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        )

    @asynccontextmanager
    async def backup(self, world: Any) -> AsyncIterator[None]:
        name = urlsplit(self.url).path.lstrip("/")
        copy = self._stack.enter_context(made_database(self._server, name))
        yield
        self.url = copy
        world.config["metadata"] = self.metadata()

    async def set_count(self, process: Any, key: BlobKey, count: int) -> None:
        since = "NULL" if count else "clock_timestamp()"
        self.sql(
            f"UPDATE blobs SET ref_count = {count}, zero_since = {since}"
            f" WHERE content_hash = '{key.content_hash}' AND storage_class = '{key.storage_class}'"
        )

    async def is_locked(self, process: Any, key: BlobKey) -> bool:
        try:
            self.sql(
                "SELECT 1 FROM blobs"
                f" WHERE content_hash = '{key.content_hash}'"
                f" AND storage_class = '{key.storage_class}' FOR UPDATE NOWAIT"
            )
        except asyncpg.LockNotAvailableError:
            return True
        return False


STORES: dict[str, type[Tools]] = {"memory": Memory, "sqlite": Sqlite, "postgres": Postgres}
