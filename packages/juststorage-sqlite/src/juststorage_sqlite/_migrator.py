"""Migrations through alembic. Imported only when there is one to run."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from juststorage.errors import Misconfigured
from juststorage.plugins import MigrationStatus, Migrator
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._errors import our_errors
from juststorage_sqlite._prepare import current_revision, ensure_file
from juststorage_sqlite._revisions import HEAD, REVISIONS

__all__ = ["SqliteMigrator", "script_config", "upgrade"]


class SqliteMigrator(Migrator):
    """See `Migrator`. Every change is one transaction under the write lock of the file."""

    def __init__(self, how: Connecting) -> None:
        self._how = how

    def place(self) -> str:
        return f"SQLite, the file {self._how.path}"

    def status(self) -> MigrationStatus:
        current = self._current()
        known = REVISIONS if current is None else REVISIONS[self._index(current) + 1 :]
        return MigrationStatus(current=current, head=HEAD, pending=list(known))

    def up(self) -> None:
        ensure_file(self._how.path)
        upgrade(self._how)

    def down(self, revision: str) -> None:
        if not self._how.path.exists():
            raise Misconfigured(f"there is no store in {self._how.path}")
        with _migrating(self._how) as config:
            command.downgrade(config, revision)

    def sql(self) -> str:
        current = self._current()
        output = io.StringIO()
        config = script_config(output)
        command.upgrade(config, f"{current or 'base'}:head", sql=True)
        return output.getvalue()

    def _current(self) -> str | None:
        if not self._how.path.exists():
            return None
        with our_errors(), closing(connect(self._how, read_only=True)) as db:
            return current_revision(db)

    def _index(self, revision: str) -> int:
        try:
            return REVISIONS.index(revision)
        except ValueError:
            raise Misconfigured(
                f"the database has schema {revision}, which is newer than this release knows"
            ) from None


def upgrade(how: Connecting) -> None:
    """Go to the head revision, whoever else may be doing it."""
    with _migrating(how) as config:
        command.upgrade(config, "head")


def script_config(output: io.StringIO | None = None) -> Config:
    """Where alembic finds our migrations, and where it writes SQL text."""
    config = Config(output_buffer=output or io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", "juststorage_sqlite:_migrations")
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _migrating(how: Connecting) -> Iterator[Config]:
    """A configuration whose commands run in one transaction that has the write lock already.

    Foreign keys are off, as SQLite demands of whoever rebuilds a table, and are checked before the
    commit.
    """
    with our_errors(), closing(connect(how)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        engine = sqlalchemy.create_engine(
            "sqlite://", creator=lambda: db, poolclass=sqlalchemy.pool.StaticPool
        )
        sqlalchemy.event.listen(engine, "begin", _begin_immediate)
        config = script_config()
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                yield config
                _check_foreign_keys(db)
        except CommandError as error:
            raise Misconfigured(f"the migration cannot run: {error}") from error
        except sqlalchemy.exc.DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from error
            raise
        finally:
            engine.dispose()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_foreign_keys(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise Misconfigured("the migration would leave dangling references; nothing was changed")
