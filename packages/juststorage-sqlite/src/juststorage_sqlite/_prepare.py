"""From a path to a database with the schema of this release, or one clear sentence."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from juststorage.errors import Corrupt, Misconfigured
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._errors import translated
from juststorage_sqlite._revisions import HEAD, REVISIONS

__all__ = ["SQLITE_VERSION_MIN", "create_tables", "current_revision", "ensure_file", "prepare"]

SQLITE_VERSION_MIN: Final = (3, 38, 0)
"""UPDATE FROM and RETURNING are older; JSON functions are always there from here on."""


def prepare(
    how: Connecting,
    *,
    auto_migrate: bool,
    create: bool = True,
    migrate: str = "juststorage migrate up",
) -> None:
    """Make sure that the file exists and has the schema of this release.

    Without `create` a file that does not exist, or has no schema, is refused and left alone.
    `migrate` is the command that does it, for messages.

    Several processes may do this at once: the write lock lets one of them create or migrate.

    Raises:
        Misconfigured: The file cannot be used, or has another schema; says what to do.
        Unavailable: Another process holds the file for too long.
    """
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise Misconfigured(
            f"this Python has SQLite {sqlite3.sqlite_version}; {wanted} or later is needed"
        )
    if not create:
        _require_store(how, migrate)
    ensure_file(how.path)
    try:
        _prepare_schema(how, auto_migrate, create, migrate)
    except sqlite3.Error as error:
        meaning = translated(error)
        if isinstance(meaning, Corrupt):
            raise Misconfigured(f"{how.path} is damaged, or not a SQLite database") from error
        raise meaning from error


def _require_store(how: Connecting, migrate: str) -> None:
    try:
        # A file of size 0 is what a start leaves that was cut off before its first transaction.
        if how.path.stat().st_size > 0:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Misconfigured(f"{how.path} cannot be opened: {error.strerror}") from error
    raise Misconfigured(
        f"there is no store in {how.path}; `juststorage serve` with the same configuration makes"
        f" one, and so does `{migrate}`"
    )


def ensure_file(path: Path) -> None:
    """Create the file where there is none, readable by its owner alone, durably."""
    if not path.parent.is_dir():
        raise Misconfigured(
            f"the directory of {path} does not exist; mount its volume, or make it:"
            f" mkdir -p {path.parent}"
        )
    try:
        # Not left to SQLite: the file holds the hashes of keys and the secrets of cursors.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be opened for writing: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        # SQLite writes its log beside the database.
        raise Misconfigured(f"the directory of {path} is not writable")


def _prepare_schema(how: Connecting, auto_migrate: bool, create: bool, migrate: str) -> None:
    with closing(connect(how)) as db:
        revision = current_revision(db)
        if revision is None and auto_migrate and create:
            revision = _create(db)
    if revision == HEAD:
        return
    if revision is not None and revision not in REVISIONS:
        raise Misconfigured(
            f"{how.path} has schema {revision}, which is newer than this release knows"
            f" ({HEAD}): upgrade juststorage-sqlite"
        )
    if not auto_migrate or revision is None:
        has = "no schema yet" if revision is None else f"schema {revision}"
        raise Misconfigured(f"{how.path} has {has}, and this release needs {HEAD}: run `{migrate}`")
    from juststorage_sqlite._migrator import upgrade

    upgrade(how)


def current_revision(db: sqlite3.Connection) -> str | None:
    """The revision of the schema; None where there is none yet.

    Raises:
        Misconfigured: The database is somebody else's.
    """
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if "alembic_version" in tables and "objects" not in tables:
        # A migration all the way down leaves this table, empty.
        tables.discard("alembic_version")
        if not tables:
            return None
    if not {"alembic_version", "objects", "blobs"} <= tables:
        raise Misconfigured("the database is not one of JustStorage; choose another path for it")
    row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        raise Misconfigured("the database does not say which schema it has; restore a backup")
    return str(row[0])


def _create(db: sqlite3.Connection) -> str | None:
    db.execute("BEGIN IMMEDIATE")
    try:
        revision = current_revision(db)
        if revision is None:  # still, now that nobody else can be making one
            create_tables(db)
            revision = HEAD
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return revision


def create_tables(db: sqlite3.Connection) -> None:
    """Run `schema.sql`, inside the caller's transaction."""
    db.execute("DROP TABLE IF EXISTS alembic_version")
    text = Path(__file__).with_name("schema.sql").read_text()
    for statement in text.split("\n\n"):
        db.execute(statement)
    db.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (HEAD,))
