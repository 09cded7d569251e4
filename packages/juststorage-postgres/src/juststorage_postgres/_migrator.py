"""The migrator: alembic on the configured database, one at a time.

Several instances that are deployed together may all run `juststorage migrate up`. A lock of the
transaction (never of the session: behind PgBouncer that would be someone else's) lets one through;
the others wait, and then find nothing to do.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from juststorage.errors import JustStorageError, Misconfigured, Unavailable
from juststorage.plugins import MigrationStatus, Migrator
from juststorage_postgres._checks import check_changeable, current_revision
from juststorage_postgres._connect import PATIENT_LOCK_S, connect, where
from juststorage_postgres._errors import DRIVER_ERRORS, translate
from juststorage_postgres._migrations import REVISIONS
from juststorage_postgres._options import PostgresOptions

__all__ = ["LOCK", "PostgresMigrator", "configured"]

LOCK: Final = 0x6A73_6D69_6772_6174
"""The advisory lock's number: `jsmigrat` in ASCII."""

_WAIT_S: Final = 300
"""Seconds that a migration waits for another one."""

ResultT = TypeVar("ResultT")

_alembic: Final = threading.Lock()
"""Alembic keeps what it works on in globals of its modules: one run at a time in a process."""


def configured(output: io.StringIO | None = None) -> Config:
    """Alembic's configuration, made here: there is no file to keep or to find."""
    config = Config(output_buffer=output)
    config.set_main_option("script_location", "juststorage_postgres:_migrations")
    return config


class PostgresMigrator(Migrator):
    """See `Migrator`. Raises `Misconfigured` and `Unavailable` as opening the store does."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options

    def place(self) -> str:
        return f"PostgreSQL, {where(self._options)}"

    def status(self) -> MigrationStatus:
        current = _run(self._current)
        pending = [each for each in REVISIONS if current is None or each > current]
        return MigrationStatus(current=current, head=REVISIONS[-1], pending=pending)

    def up(self) -> None:
        self._migrate(lambda config: command.upgrade(config, "head"))

    def down(self, revision: str) -> None:
        if revision not in (*REVISIONS, "base"):
            raise Misconfigured(f"there is no revision {revision}; known: {', '.join(REVISIONS)}")
        self._migrate(lambda config: command.downgrade(config, revision))

    def sql(self) -> str:
        current = _run(self._current)
        if current == REVISIONS[-1]:
            return ""
        output = io.StringIO()
        with _alembic:
            command.upgrade(configured(output), f"{current or 'base'}:head", sql=True)
        return output.getvalue()

    async def _current(self, *, is_to_change: bool = False) -> str | None:
        place = where(self._options)
        try:
            connection = await connect(self._options)
        except Unavailable as error:
            raise Unavailable(f"{place} does not answer") from error.__cause__
        try:
            async with connection.transaction():
                if is_to_change or await current_revision(connection, place) is None:
                    await check_changeable(connection, place)
                return await current_revision(connection, place)
        except DRIVER_ERRORS as error:
            raise translate(error) from error
        finally:
            connection.terminate()

    def _migrate(self, run: Callable[[Config], None]) -> None:
        _run(lambda: self._current(is_to_change=True))

        def migrate(connection: Connection) -> None:
            config = configured()
            config.attributes.update(connection=connection, lock=_lock)
            with _alembic:
                run(config)

        _run(lambda: self._on_connection(migrate))

    async def _on_connection(self, run: Callable[[Connection], None]) -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(self._options, is_patient=True),
            poolclass=NullPool,
        )
        try:
            # Alembic begins and commits: a revision may leave the transaction for a while.
            async with engine.connect() as connection:
                await connection.run_sync(run)
        except DBAPIError as error:
            raise self._explained(error) from error
        finally:
            await engine.dispose()

    def _explained(self, error: DBAPIError) -> JustStorageError:
        cause = error.orig.__cause__ if error.orig is not None else None
        match getattr(cause, "sqlstate", None):
            case "42501":
                return Misconfigured(f"{where(self._options)}: the user may not change the schema")
            case "55P03":
                return Unavailable("a table, or another migration, is in use; try again")
        return translate(cause if isinstance(cause, Exception) else error)


def _lock(connection: Connection) -> None:
    """Wait for other migrators, for long; and from then on for tables, for a short time only."""
    for statement in (
        f"SET LOCAL lock_timeout = '{_WAIT_S}s'",
        f"SET LOCAL statement_timeout = '{_WAIT_S}s'",
        f"SELECT pg_advisory_xact_lock({LOCK})",
        "SET LOCAL statement_timeout = 0",
        f"SET LOCAL lock_timeout = '{PATIENT_LOCK_S:g}s'",
    ):
        connection.execute(text(statement))


def _run(run: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Run to the end, whether or not the caller's thread has a loop that runs."""

    async def main() -> ResultT:
        return await run()

    with ThreadPoolExecutor(1, thread_name_prefix="migrate") as thread:
        return thread.submit(asyncio.run, main()).result()
