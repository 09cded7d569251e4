"""Connections: borrowed for one transaction, never reused after an interruption.

A statement that is cut short (a timeout, a cancelled caller, a lost server) leaves a connection in
a state that only a conversation with the server could settle, and the server may be what is gone.
Such a connection is thrown away; the pool makes a new one when one is asked for next.

What swallowed the words of one connection, a firewall that forgot it or an address that moved, has
as a rule done so to all that there are. After silence those that were opened before are thrown away
as they are borrowed, instead of costing one request after the other the whole of its time.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import asyncpg  # type: ignore[import-untyped]
import msgspec
from anyio.lowlevel import checkpoint_if_cancelled

from juststorage.errors import JustStorageError
from juststorage.ports import Tracer, acting
from juststorage_postgres._errors import is_answer, is_passing, translated
from juststorage_postgres._silence import Silence

__all__ = ["ATTEMPTS_MAX", "Connection", "DatedConnection", "Pool", "TracedPool", "pause_s"]

ATTEMPTS_MAX: Final = 10
"""Attempts at one transaction that deadlocks, waits too long or loses a key that was free."""

_PAUSE_S: Final = 0.004
_PAUSE_MAX_S: Final = 0.1
"""Pause before the second attempt, at most; it doubles with every further one, up to the other."""

_POSTGRES: Final = {"db.system.name": "postgresql"}
_ACT: Final = "SELECT set_config('juststorage.actor', $1, true)"
_encode: Final = msgspec.json.Encoder().encode

ResultT = TypeVar("ResultT")

Connection: TypeAlias = Any
"""An `asyncpg.Connection`, or the pool's proxy of one."""


class DatedConnection(asyncpg.Connection):  # type: ignore[misc]
    """The driver's, which knows when it was opened."""

    __slots__ = ("opened_at",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened_at = monotonic()


class Pool:
    """What the repositories run their transactions on.

    Args:
        pool: The driver's pool, of `DatedConnection`.
        silence: Asked before every use.
        patience_s: Seconds to wait for a connection of it, and seconds after which a transaction
            that fails is not tried again.
        always_begins: Put even a single statement into a transaction. Behind PgBouncer the driver
            prepares a statement and executes it, and only so do both reach the same server process.
        audits: Say in every transaction that writes in whose name it acts; the audit table's
            triggers wait for that.
    """

    def __init__(
        self,
        pool: Any,
        silence: Silence,
        *,
        patience_s: float,
        always_begins: bool = False,
        audits: bool = False,
    ) -> None:
        self._pool = pool
        self._silence = silence
        self._patience_s = patience_s
        self.audits = audits
        self._single = self._begun if always_begins else self._borrowed
        self._single_write = self._begun if always_begins or audits else self._borrowed

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, each of its statements a transaction of its own.

        Raises:
            Unavailable: There is none within the time, or it was lost meanwhile.
        """
        with translated():
            async with self._single() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the end, rolled back by an exception."""
        with translated():
            async with self._begun() as connection:
                yield connection

    async def attempt(
        self, run: Callable[[Connection], Awaitable[ResultT]], *, single: bool = False
    ) -> ResultT:
        """Run one transaction, again where it was rolled back for a reason that passes.

        Once begun, it runs to its end: a cancelled caller learns of that when the outcome is
        decided, so that no change is seen to happen after its call is over.

        Args:
            run: What to do in it; called once for each attempt.
            single: It is a single statement, which needs no BEGIN.
        """
        await checkpoint_if_cancelled()
        with translated(), anyio.CancelScope(shield=True):
            until = monotonic() + self._patience_s
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    async with self._single_write() if single else self._begun() as connection:
                        return await run(connection)
                except (asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                    is_last = attempt == ATTEMPTS_MAX or monotonic() > until
                    if is_last or not is_passing(error):
                        raise
                await anyio.sleep(pause_s(attempt))
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Connection]:
        await self._silence.check()
        connection = await self._acquire()
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, TimeoutError):
                self._silence.found_on_a_connection()
            if not _is_in_order(error):
                connection.terminate()
            raise
        finally:
            # Terminated or not, the pool takes it back without a word to the server.
            await self._pool.release(connection)

    async def _acquire(self) -> Connection:
        """A connection that was opened since the last one fell silent."""
        while True:
            try:
                connection = await self._pool.acquire(timeout=self._patience_s)
            except TimeoutError:
                self._silence.suspect()
                raise
            if connection.opened_at >= self._silence.found_at:
                return connection
            connection.terminate()
            await self._pool.release(connection)

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[Connection]:
        async with self._borrowed() as connection:
            await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                if self.audits:
                    await connection.execute(_ACT, _encode(acting.get()).decode())
                yield connection
            except BaseException as error:
                if _is_in_order(error):
                    with anyio.CancelScope(shield=True):
                        await connection.execute("ROLLBACK")
                raise
            with anyio.CancelScope(shield=True):
                await connection.execute("COMMIT")


class TracedPool(Pool):
    """The same pool with a span around each use, for whatever is not gathered.

    A class of its own, so that one without tracing has not even a question in its way.
    """

    def __init__(self, pool: Pool, tracer: Tracer) -> None:
        vars(self).update(vars(pool))
        self._tracer = tracer

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """As `Pool.connection`."""
        with self._span("statements"):
            async with super().connection() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As `Pool.transaction`."""
        with self._span("transaction"):
            async with super().transaction() as connection:
                yield connection

    async def attempt(
        self, run: Callable[[Connection], Awaitable[ResultT]], *, single: bool = False
    ) -> ResultT:
        """As `Pool.attempt`; one span, however many attempts it takes."""
        with self._span("statements" if single else "transaction"):
            return await super().attempt(run, single=single)

    def _span(self, name: str) -> AbstractContextManager[object]:
        return self._tracer.span(name, _POSTGRES, kind="client")


def pause_s(attempt: int) -> float:
    """Seconds to wait after this attempt: two that met once must not meet at every attempt."""
    limit = min(_PAUSE_MAX_S, _PAUSE_S * 2.0 ** (attempt - 1))
    return random.random() * limit  # noqa: S311


def _is_in_order(error: BaseException) -> bool:
    """Whether the connection may be used again after this error."""
    return isinstance(error, JustStorageError) or is_answer(error)
