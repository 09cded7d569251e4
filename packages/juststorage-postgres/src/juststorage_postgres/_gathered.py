"""Gathered: a request's way through the statements that it shares with others.

    fast      one statement for all that wait: the common cases
    careful   one transaction for all that the fast statement had no row for
    alone     a transaction of its own, repeated where it must be

Each step answers what it can and leaves the rest to the next. A statement that fails is rolled
back, so a step that fails leaves everything to the next: one bad item costs its neighbours time and
nothing else. Only the last step waits for locks again and again, and it does so in the task of the
one request that needs it: no slot of a gatherer is ever taken by one item's bad luck for long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from juststorage.errors import JustStorageError, StorageFull, Unavailable
from juststorage.plugins import Gatherer
from juststorage.ports import Tracer
from juststorage_postgres._careful import Answers
from juststorage_postgres._errors import is_passing
from juststorage_postgres._pool import Connection, Pool

__all__ = ["Gathered", "Sharing", "lookups"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

Fast = Callable[[Connection, Sequence[ItemT]], Awaitable[Sequence[ResultT | None]]]
Careful = Callable[[Connection, Sequence[ItemT]], Awaitable[Answers[ResultT]]]


_SPAN: Final = {"db.system.name": "postgresql"}


@dataclass(frozen=True, slots=True)
class Sharing:
    """How requests share statements.

    Args:
        batch_max: Requests in one statement.
        calls_max: Statements of one kind under way at once.
        tracer: Makes a span of each statement; None for none.
    """

    batch_max: int
    calls_max: int
    tracer: Tracer | None = None

    def gatherer(
        self,
        name: str,
        call: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]],
    ) -> Gatherer[Any, Any]:
        """A gatherer of this call; the name is for traces."""
        return Gatherer(
            call,
            batch_max=self.batch_max,
            calls_max=self.calls_max,
            tracer=self.tracer,
            name=name,
            attributes=_SPAN,
        )


class Gathered(Generic[ItemT, ResultT]):
    """One kind of change. Made by `opened`.

    Args:
        name: Of the change, for traces.
        pool: Where transactions run.
        fast: One statement for the common cases; None for an item that is not one.
        careful: A transaction for all cases.
    """

    def __init__(
        self,
        name: str,
        pool: Pool,
        fast: Fast[ItemT, ResultT],
        careful: Careful[ItemT, ResultT],
        sharing: Sharing,
    ) -> None:
        self._pool = pool
        self._run_fast = fast
        self._run_careful = careful
        self._fast = sharing.gatherer(f"{name} statement", self._call_fast)
        self._careful = sharing.gatherer(f"{name} transaction", self._call_careful)

    @property
    def depth(self) -> int:
        """Items that wait for a batch."""
        return self._fast.depth + self._careful.depth

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Run the gatherers."""
        async with self._fast, self._careful:
            yield

    async def submit(self, item: ItemT, *, is_common: bool = True) -> ResultT:
        """Answer one request.

        A cancelled caller does not stop a statement that it shares with others; whether its own
        part has happened, it does not learn.

        Args:
            item: The request.
            is_common: Whether the fast statement may know the answer.

        Raises:
            JustStorageError: The item's refusal, or `Unavailable`.
        """
        if self._pool.audits:
            # Each in a transaction of its own, and in the task of whoever asks for it: only there
            # is it known in whose name that is.
            return await self._alone(item)
        answer = await self._fast.submit(item) if is_common else None
        if answer is None:
            answer = await self._careful.submit(item)
        return answer if answer is not None else await self._alone(item)

    async def _alone(self, item: ItemT) -> ResultT:
        [answer] = await self._pool.attempt(
            lambda connection: self._run_careful(connection, [item])
        )
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _call_fast(self, items: Sequence[ItemT]) -> Sequence[ResultT | None]:
        try:
            async with self._pool.connection() as connection:
                return await self._run_fast(connection, items)
        except JustStorageError as error:
            return _left_over(error, items)

    async def _call_careful(
        self, items: Sequence[ItemT]
    ) -> Sequence[ResultT | None | BaseException]:
        try:
            async with self._pool.transaction() as connection:
                return await self._run_careful(connection, items)
        except JustStorageError as error:
            return _left_over(error, items)


def _left_over(error: JustStorageError, items: Sequence[object]) -> list[None]:
    """No answer for anyone, where nothing was done and another way may do better.

    Not where the server fell silent: what was sent may have been done, and is not sent again. Nor
    where it has no room or no time: more of the same would not help it.
    """
    passes = error.__cause__ is not None and is_passing(error.__cause__)
    if isinstance(error, StorageFull | Unavailable) and not passes:
        raise error
    return [None] * len(items)


def lookups(
    name: str,
    pool: Pool,
    statement: Callable[[Connection, Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
    sharing: Sharing,
) -> Gatherer[ItemT, ResultT]:
    """A gatherer of look-ups: nothing waits for a lock, and nothing is bad about an item."""

    async def call(items: Sequence[ItemT]) -> Sequence[ResultT]:
        try:
            async with pool.connection() as connection:
                return await statement(connection, items)
        except Unavailable:
            # A connection that died while it was idle is found out only by using it. Reading again
            # is harmless; the second connection is a new one, or there is no database.
            async with pool.connection() as connection:
                return await statement(connection, items)

    return sharing.gatherer(f"{name} statement", call)
