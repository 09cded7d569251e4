"""What a database must be like before a service starts on it."""

from __future__ import annotations

from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from juststorage.errors import Misconfigured
from juststorage_postgres._migrations import REVISIONS, VERSION_TABLE
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._pool import Connection
from juststorage_postgres._schema import metadata

__all__ = ["check_changeable", "check_database", "current_revision"]

_VERSION_MIN: Final = 140000

_SETTINGS: Final = """
SELECT
    current_setting('server_version_num')::int AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    pg_is_in_recovery() AS is_replica,
    current_setting('transaction_read_only')::boolean AS is_read_only"""

_RIGHTS: Final = """
SELECT t.name, r.right FROM unnest($1::text[]) AS t (name)
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r ("right")
WHERE NOT has_table_privilege(t.name, r.right)
ORDER BY t.name, r.right LIMIT 1"""


async def check_database(
    connection: Connection, options: PostgresOptions, where: str, *, migrate: str
) -> None:
    """Refuse a database that is unfit.

    Args:
        connection: To it.
        options: What may be unsafe.
        where: It, for messages.
        migrate: The command that brings its schema up to date.

    Raises:
        Misconfigured: With the reason and, where there is one, the command to run.
    """
    settings = await connection.fetchrow(_SETTINGS)
    for reason in (_unfit(settings), None if options.allow_unsafe_settings else _unsafe(settings)):
        if reason is not None:
            raise Misconfigured(f"{where}: {reason}")
    _check_revision(await current_revision(connection, where), where, migrate)
    lacking = await connection.fetchrow(_RIGHTS, [table.name for table in metadata.sorted_tables])
    if lacking is not None:
        raise Misconfigured(
            f"{where}: the user lacks the right {lacking['right']} on the table {lacking['name']}"
        )


def _unfit(settings: Any) -> str | None:
    if settings["version"] < _VERSION_MIN:
        return "the server is older than PostgreSQL 14"
    if settings["encoding"] != "UTF8":
        return f"its encoding is {settings['encoding']}; create it with ENCODING 'UTF8'"
    if settings["is_replica"]:
        return "the server is a read-only replica; name the primary"
    if settings["is_read_only"]:
        return "it is read-only (default_transaction_read_only)"
    return None


def _unsafe(settings: Any) -> str | None:
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if settings[name] == "off":
            return (
                f"{name} is off, so a crash would lose what was acknowledged;"
                " turn it on, or set allow_unsafe_settings"
            )
    return None


async def check_changeable(connection: Connection, where: str) -> None:
    """Refuse a database whose schema cannot be changed, or is not worth it.

    Raises:
        Misconfigured: With the reason.
    """
    reason = _unfit(await connection.fetchrow(_SETTINGS))
    if reason is not None:
        raise Misconfigured(f"{where}: {reason}")


async def current_revision(connection: Connection, where: str = "the database") -> str | None:
    """The revision of the schema; None where there is none.

    Raises:
        Misconfigured: The user may not look.
    """
    if await connection.fetchval("SELECT to_regclass($1)", VERSION_TABLE) is None:
        return None
    try:
        revision: str | None = await connection.fetchval(
            f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise Misconfigured(
            f"{where}: the user lacks the right SELECT on the table {VERSION_TABLE}"
        ) from error
    return revision


def _check_revision(current: str | None, where: str, migrate: str) -> None:
    head = REVISIONS[-1]
    if current == head:
        return
    if current is None:
        raise Misconfigured(f"{where} has no schema yet; run: {migrate}")
    if current in REVISIONS:
        raise Misconfigured(f"{where} has the schema {current}, older than {head}; run: {migrate}")
    raise Misconfigured(
        f"{where} has the schema {current}, newer than this version's {head};"
        " install that newer version (its juststorage migrate up has run)"
    )
