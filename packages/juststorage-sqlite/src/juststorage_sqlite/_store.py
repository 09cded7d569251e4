"""The metadata store: its threads, its repositories, and how they open and close."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from juststorage.errors import Misconfigured, Unavailable
from juststorage.plugins import Gatherer, OpenContext
from juststorage.ports import Clock, MetadataStore, ReadOnlySwitch, Tracer
from juststorage_sqlite._api_keys import SqliteApiKeyRepository
from juststorage_sqlite._audit import Acting, SqliteAuditRepository
from juststorage_sqlite._backups import SqliteBackupRepository
from juststorage_sqlite._ballast import Ballast
from juststorage_sqlite._blobs import SqliteBlobRepository
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._errors import our_errors
from juststorage_sqlite._filters import add_functions
from juststorage_sqlite._idempotency import SqliteIdempotencyRepository
from juststorage_sqlite._lookups import look_up
from juststorage_sqlite._objects import SqliteObjectRepository
from juststorage_sqlite._prepare import current_revision, prepare
from juststorage_sqlite._reader import Reader, TracedReader
from juststorage_sqlite._revisions import REVISIONS
from juststorage_sqlite._tallies import SqliteTallyRepository
from juststorage_sqlite._thread import DatabaseThread
from juststorage_sqlite._times import to_micros
from juststorage_sqlite._turnstile import Turnstile
from juststorage_sqlite._usage import SqliteUsageRepository
from juststorage_sqlite._writer import Writer
from juststorage_sqlite.plugin import SqliteOptions

__all__ = ["SqliteMetadataStore", "connecting", "open_store"]


class SqliteMetadataStore(MetadataStore):
    """See `MetadataStore`."""

    def __init__(
        self,
        clock: Clock,
        writer: Writer,
        *,
        reader: Reader,
        quick: Reader,
        lookups: Gatherer[Any, Any],
        how: Connecting,
        ballast: Ballast,
    ) -> None:
        self._writer = writer
        self._ballast = ballast
        self._reader = quick
        self.objects = SqliteObjectRepository(clock, writer, reader, lookups)
        self.blobs = SqliteBlobRepository(writer, reader)
        self.api_keys = SqliteApiKeyRepository(writer, quick)
        self.idempotency = SqliteIdempotencyRepository(clock, writer, quick)
        self.usage = SqliteUsageRepository(writer, reader)
        self.tallies = SqliteTallyRepository(writer)
        self.audit = SqliteAuditRepository(reader)
        self.backups = SqliteBackupRepository(clock, writer, quick, how)

    async def ping(self) -> None:
        await self._reader.run(_ping)

    async def answers(self) -> None:
        # Not SELECT 1, which no file is read for.
        await self._reader.run(self._answer)

    def _answer(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA schema_version").fetchone()
        # Another process may have given it up, or made it again.
        self._ballast.keep()
        self._ballast.need_room()

    async def read_only(self) -> ReadOnlySwitch:
        return await self._reader.run(_read_only)

    async def turn_read_only(self, *, on: bool) -> ReadOnlySwitch:
        return await self._writer.run(lambda db, now: _turn_read_only(db, on))

    async def secret(self, name: str) -> bytes:
        found = await self._reader.run(lambda db: _secret(db, name))
        if found is not None:
            return found
        return await self._writer.run(lambda db, now: _make_secret(db, name))


def _ping(db: sqlite3.Connection) -> None:
    try:
        revision = current_revision(db)
    except Misconfigured as error:
        raise Unavailable("the database has not the tables that it should have") from error
    if has := outdated(revision, REVISIONS):
        # Without options: whoever asks for readiness need not learn of our paths.
        raise Unavailable(
            f"the database has {has}: run `juststorage migrate up` with the configuration of the"
            " service"
        )


def outdated(revision: str | None, known: Sequence[str]) -> str | None:
    """What a schema that this release cannot work with is; None for one that it can.

    A newer one serves as well, while a deployment goes from one release to the next.
    """
    if revision is None:
        return "no schema"
    return f"schema {revision}, and {known[-1]} is needed" if revision in known[:-1] else None


_TURN: Final = (
    "INSERT INTO switches (name, is_on, turns) VALUES ('read_only', ?, 1)"
    " ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on, turns = turns + 1"
)


def _read_only(db: sqlite3.Connection) -> ReadOnlySwitch:
    row = db.execute("SELECT is_on, turns FROM switches WHERE name = 'read_only'").fetchone()
    return ReadOnlySwitch() if row is None else ReadOnlySwitch(on=bool(row[0]), turns=row[1])


def _turn_read_only(db: sqlite3.Connection, on: bool) -> ReadOnlySwitch:
    db.execute(_TURN, (int(on),))
    return _read_only(db)


def _secret(db: sqlite3.Connection, name: str) -> bytes | None:
    row = db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def _make_secret(db: sqlite3.Connection, name: str) -> bytes:
    db.execute(
        "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (name, secrets.token_bytes(32)),
    )
    found = _secret(db, name)
    assert found is not None
    return found


_INSPECTION_S: Final = 1.0
"""How long who only looks waits for a transaction of another process."""


def connecting(options: SqliteOptions, context: OpenContext) -> Connecting:
    """How the options say to connect."""
    path = context.data_dir / "metadata.sqlite3" if options.path is None else Path(options.path)
    patience_s = options.busy_timeout_s
    return Connecting(
        path=path.absolute(),
        busy_timeout_s=min(patience_s, _INSPECTION_S) if context.inspect else patience_s,
        cache_bytes=options.cache_bytes,
        checkpoint_pages=options.checkpoint_pages,
        ballast=Ballast(
            path.absolute(),
            options.ballast_bytes,
            may_make=context.create and not context.inspect,
        ),
    )


@asynccontextmanager
async def open_store(
    options: SqliteOptions, context: OpenContext
) -> AsyncIterator[SqliteMetadataStore]:
    """Open, creating or migrating the file where the options allow it; close at the end."""
    how = connecting(options, context)
    ballast = how.ballast
    assert ballast is not None
    async with AsyncExitStack() as stack:
        writing = await stack.enter_async_context(DatabaseThread("juststorage-sqlite-writer"))
        await writing.run_to_end(
            partial(
                prepare,
                how,
                auto_migrate=options.auto_migrate and not context.inspect,
                create=context.create,
                migrate=context.migrate,
            )
        )
        # When the last process closes, the log's room goes back to where it came from.
        stack.push_async_callback(writing.run_to_end, ballast.take_back)
        connection = await _connection(stack, writing, how, read_only=False)
        await writing.run_to_end(ballast.keep)
        acting: Acting | None = None
        if context.audit:
            acting = Acting(lambda: to_micros(context.clock.now()))
            await writing.run_to_end(partial(acting.install, connection))
        turnstile = stack.enter_context(closing(Turnstile.beside(how.path)))
        writer = await stack.enter_async_context(
            Writer(
                writing,
                connection,
                context.clock,
                batch_max=options.batch_max,
                busy_timeout_s=options.busy_timeout_s,
                turnstile=turnstile,
                ballast=ballast,
                acting=acting,
                tracer=context.tracer,
            )
        )
        workers = []
        for number in range(1 + options.reader_threads):
            name = f"juststorage-sqlite-reader-{number}"
            reading = await stack.enter_async_context(DatabaseThread(name))
            workers.append((reading, await _connection(stack, reading, how, read_only=True)))
        lookup_worker, *page_workers = workers
        lookups = await stack.enter_async_context(
            Gatherer(
                partial(_look_up, *lookup_worker),
                batch_max=options.batch_max,
                tracer=context.tracer,
                name="look-up statements",
                attributes={"db.system.name": "sqlite"},
            )
        )
        context.gauge("waiting", lambda: writer.depth + lookups.depth)
        yield SqliteMetadataStore(
            context.clock,
            writer,
            reader=_reader(page_workers, context.tracer),
            # What every request may need must not wait behind listings.
            quick=_reader([lookup_worker], context.tracer, shared=True),
            lookups=lookups,
            how=how,
            ballast=ballast,
        )


def _reader(
    workers: Sequence[tuple[DatabaseThread, sqlite3.Connection]],
    tracer: Tracer | None,
    *,
    shared: bool = False,
) -> Reader:
    if tracer is None:
        return Reader(workers, shared=shared)
    return TracedReader(workers, tracer, shared=shared)


async def _connection(
    stack: AsyncExitStack, thread: DatabaseThread, how: Connecting, *, read_only: bool
) -> sqlite3.Connection:
    def opened() -> sqlite3.Connection:
        with our_errors():
            # The writer does its own waiting.
            connection = connect(how, read_only=read_only, waits=read_only)
        add_functions(connection)
        return connection

    connection = await thread.run_to_end(opened)
    stack.push_async_callback(thread.run_to_end, connection.close)
    return connection


async def _look_up(
    thread: DatabaseThread, connection: sqlite3.Connection, items: Sequence[Any]
) -> Sequence[Any]:
    def found() -> Sequence[Any]:
        with our_errors():
            return look_up(connection, items)

    return await thread.run_to_end(found)
