"""Connecting: how, to what, and when to refuse.

A service that starts on a wrong database, an unsafe one or an outdated one does damage later, and
then nobody looks for the reason here. So everything that can be told at the start is.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]

from juststorage.errors import Misconfigured, Unavailable
from juststorage.plugins import OpenContext
from juststorage_postgres._checks import check_database
from juststorage_postgres._errors import DRIVER_ERRORS, translate
from juststorage_postgres._options import SCHEMES, PostgresOptions
from juststorage_postgres._pool import Connection, DatedConnection, Pool
from juststorage_postgres._silence import LOOK_S, Silence

__all__ = ["PATIENT_LOCK_S", "connect", "opened_pool", "where"]

PATIENT_LOCK_S: Final = 5.0
"""Seconds that a migration waits for a table: who waits longer makes all others wait behind it."""

_PAUSE_S: Final = 0.5
"""Between two attempts to connect at start-up."""

_TELL_S: Final = 5.0
"""Between two lines of the log that say so."""

_REPORT_S: Final = 0.5
"""For the server's own report of a timeout to arrive."""

_QUERIES_MAX: Final = 2**31
"""Queries after which a connection is replaced: never. The driver's default would, every 50,000."""

_IDLE_S: Final = 300.0
"""Seconds after which the pool closes a connection that nobody needed."""

_REFUSALS: Final = {
    "28P01": "the password of the database user is wrong",
    "28000": "the database user is not allowed to connect",
    "3D000": "the database does not exist",
    "42501": "the database user lacks the right to connect",
    "08P01": "it refuses settings of a connection, as PgBouncer does; set pgbouncer = true",
}


_NO_TLS: Final = "rejected SSL upgrade"
"""The driver's words for a server that answers a wish for TLS with no."""


def where(options: PostgresOptions) -> str:
    """The server and database in the URL, for messages: never the user, never the password."""
    parts = urlsplit(options.url.reveal())
    server = parts.netloc.rpartition("@")[2]
    # A password with an unescaped slash or question mark ends up in other parts: then show nothing.
    if "@" in parts.path + parts.query + parts.fragment:
        return "the configured database"
    if server:
        return f"the database at {server}{parts.path}"
    socket = dict(parse_qsl(parts.query)).get("host", "")
    if socket.startswith("/"):
        return f"the database {parts.path.removeprefix('/')} at the socket in {socket}"
    return "the configured database"


def connect_arguments(options: PostgresOptions) -> dict[str, Any]:
    """Arguments of `asyncpg.connect` and `create_pool`."""
    arguments: dict[str, Any] = {
        "dsn": _dsn(options),
        "timeout": options.connect_timeout_s,
        # A little more than the server takes: its own report says more than our silence.
        "command_timeout": options.statement_timeout_s + _REPORT_S,
    }
    if options.pgbouncer:
        # In transaction mode two statements may meet two servers, and settings stay behind.
        return arguments | {"statement_cache_size": 0}
    lock_timeout_s = min(options.lock_timeout_s, options.statement_timeout_s)
    return arguments | {
        "server_settings": {
            "application_name": "juststorage",
            "statement_timeout": _millis(options.statement_timeout_s),
            "lock_timeout": _millis(lock_timeout_s),
            "idle_in_transaction_session_timeout": _millis(options.idle_in_transaction_timeout_s),
            "default_transaction_isolation": "read committed",
            # Every statement here has its index. Plans are made while the tables are empty and kept
            # while they fill: left to its estimates, the planner would begin by reading all rows.
            "enable_seqscan": "off",
            "jit": "off",
        }
    }


def _millis(seconds: float) -> str:
    return str(math.ceil(seconds * 1000))


def _dsn(options: PostgresOptions) -> str:
    url = options.url.reveal()
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise Misconfigured("the database url must begin with postgresql://")
    wanted = {"sslmode": options.sslmode, "sslrootcert": options.sslrootcert}
    if options.sslrootcert is not None:
        _check_certificates(options.sslrootcert)
        wanted["sslmode"] = options.sslmode or "verify-full"
    added = {name: value for name, value in wanted.items() if value is not None}
    if not added:
        return url
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **added}
    return urlunsplit(parts._replace(query=urlencode(query)))


def _check_certificates(file: str) -> None:
    if not Path(file).is_file():
        raise Misconfigured(f"sslrootcert: there is no file {file}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:
        raise Misconfigured(f"sslrootcert: no certificates can be read from {file}") from error


async def connect(options: PostgresOptions, *, is_patient: bool = False) -> Connection:
    """One connection, outside of any pool.

    A patient one is for changes of the schema: its statements may take as long as they need, and
    wait for `PATIENT_LOCK_S` at most.

    Raises:
        Misconfigured: It can never work with these options.
        Unavailable: It may work later.
    """
    arguments = connect_arguments(options)
    if is_patient:
        arguments["command_timeout"] = None
        # On the session: a revision that leaves the transaction leaves SET LOCAL behind.
        arguments.get("server_settings", {}).update(
            statement_timeout="0", lock_timeout=_millis(PATIENT_LOCK_S)
        )
    try:
        return await asyncpg.connect(**arguments)
    except asyncpg.PostgresError as error:
        reason = _REFUSALS.get(str(error.sqlstate))
        if reason is None:
            raise translate(error) from error
        if error.sqlstate == "28000" and _is_plain(options):
            reason = f"{reason} without TLS, which sslmode disables"
        raise Misconfigured(f"{where(options)}: {reason}") from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            f"{where(options)}: the server's certificate is not accepted: {error.verify_message}"
        ) from error
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise Misconfigured("the database url, or an ssl setting, is not valid") from error
    except DRIVER_ERRORS as error:
        if _NO_TLS in str(error):
            raise Misconfigured(
                f"{where(options)}: the server does not offer TLS, which sslmode asks for"
            ) from error
        raise translate(error) from error


def _is_plain(options: PostgresOptions) -> bool:
    query = dict(parse_qsl(urlsplit(options.url.reveal()).query))
    return (options.sslmode or query.get("sslmode")) == "disable"


async def _connect_patiently(options: PostgresOptions, context: OpenContext) -> Connection:
    """Connect, waiting for a database that is still away."""
    clock, logger = context.clock, context.logger
    wait_s = 0.0 if context.inspect else options.connect_wait_s
    until = clock.monotonic() + wait_s
    told_s = math.inf
    while True:
        try:
            return await connect(options)
        except Unavailable as error:
            left_s = until - clock.monotonic()
            if left_s <= 0:
                within = f" within {wait_s:g} s" if wait_s else ""
                raise Unavailable(f"{where(options)} did not answer{within}") from error.__cause__
            if told_s - left_s >= _TELL_S:
                told_s = left_s
                logger.warning(
                    "%s does not answer (%s); trying again for %.0f s",
                    where(options),
                    type(error.__cause__).__name__,
                    left_s,
                )
        await clock.sleep(min(_PAUSE_S, left_s))


@asynccontextmanager
async def opened_pool(options: PostgresOptions, context: OpenContext) -> AsyncIterator[Pool]:
    """A pool on a database that is fit for use.

    Raises:
        Misconfigured: It is not; the sentence says what to do.
        Unavailable: It did not answer in time.
    """
    first = await _connect_patiently(options, context)
    try:
        # In a transaction, for PgBouncer: see `Pool`.
        async with first.transaction():
            await check_database(first, options, where(options), migrate=context.migrate)
        # In order, so that the server has its place free again before the pool asks for one.
        await first.close(timeout=options.connect_timeout_s)
    except DRIVER_ERRORS as error:
        raise translate(error) from error
    finally:
        first.terminate()
    try:
        pool = await asyncpg.create_pool(
            **connect_arguments(options),
            min_size=1,
            max_size=options.pool_size,
            max_queries=_QUERIES_MAX,
            max_inactive_connection_lifetime=_IDLE_S,
            reset=_keep,
            connection_class=DatedConnection,
        )
    except DRIVER_ERRORS as error:
        raise translate(error) from error
    context.gauge("connections", pool.get_size)
    context.gauge("connections_in_use", lambda: pool.get_size() - pool.get_idle_size())
    try:
        yield Pool(
            pool,
            Silence(partial(_look, options)),
            patience_s=options.statement_timeout_s,
            always_begins=options.pgbouncer,
            audits=context.audit,
        )
    finally:
        # Who still holds a connection is being cancelled; there is nothing to say to the server.
        pool.terminate()


async def _look(options: PostgresOptions) -> None:
    """Connect anew and ask for anything: old connections may be dead where the server is well."""
    async with asyncio.timeout(LOOK_S):
        connection = await asyncpg.connect(**connect_arguments(options))
        try:
            await connection.execute("SELECT 1")
        finally:
            connection.terminate()


async def _keep(connection: Connection) -> None:
    """Send no reset between two uses: nothing here changes a session's state."""
