"""Gatherer: many requests, one round trip.

A call that many requests make at once is made once for all that are waiting: while one batch is
under way the next arrivals queue, and when a slot is free they go together. There is no timer, so a
lone request waits for nothing. Every answer comes from a call that began after its request did,
hence consistency is what it was without gathering.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from juststorage.errors import Unavailable
from juststorage.ports import Attributes, SpanKind, Tracer

__all__ = ["Gatherer"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Gatherer(Generic[ItemT, ResultT]):
    """Turns a call for many into one for each. Runs on asyncio; owned by an async context manager.

    Args:
        call: Answers a batch: one result, or one exception instance, for each item in its order. An
            exception that it raises is every item's answer.
        batch_max: Items in one call at most.
        calls_max: Calls under way at once at most.
        tracer: Makes a span of each call, linked with the requests that share it; None for none.
        name, attributes: Of those spans. `db.system.name` among them makes the call one to a
            database.

    Cancellation: an item whose caller is gone before its batch starts is never sent; later its
    answer is dropped.
    """

    def __init__(
        self,
        call: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT | BaseException]]],
        *,
        batch_max: int,
        calls_max: int = 1,
        tracer: Tracer | None = None,
        name: str = "gathered",
        attributes: Attributes = {},  # noqa: B006  never changed
    ) -> None:
        assert batch_max >= 1 and calls_max >= 1
        self._call = call
        self._batch_max = batch_max
        self._calls_max = calls_max
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: TaskGroup | None = None
        if tracer is not None:
            self._trace(tracer, name, attributes)

    def _trace(self, tracer: Tracer, name: str, attributes: Attributes) -> None:
        """Have each item carry its request's span. Untraced gatherers know nothing of this."""
        submit, call = self.submit, self._call
        kind: SpanKind = "client" if "db.system.name" in attributes else "internal"

        async def carrying(item: ItemT) -> ResultT:
            return await submit((item, tracer.here()))  # type: ignore[arg-type]

        async def spanned(entries: Sequence[Any]) -> Sequence[ResultT | BaseException]:
            members = [member for _, member in entries]
            with tracer.shared(name, members, attributes, kind=kind):
                return await call([item for item, _ in entries])

        self.submit = carrying  # type: ignore[method-assign]
        self._call = spanned

    @property
    def depth(self) -> int:
        """Items that wait for a batch."""
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        for _ in range(self._calls_max):
            self._tasks.start_soon(self._work)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(Unavailable("the service is closing"))
        self._waiting.clear()

    async def submit(self, item: ItemT) -> ResultT:
        """Send one item with the next batch and wait for its answer.

        Raises:
            Unavailable: The gatherer is closed.
            BaseException: Whatever `call` answered for this item.
        """
        if self._tasks is None:
            raise Unavailable("the service is closing")
        answer: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._idle:
            self._idle.popleft().set_result(None)
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                wake = loop.create_future()
                self._idle.append(wake)
                await wake
            batch = self._take()
            if batch:
                await self._answer(batch)

    def _take(self) -> list[tuple[ItemT, asyncio.Future[ResultT]]]:
        batch: list[tuple[ItemT, asyncio.Future[ResultT]]] = []
        while self._waiting and len(batch) < self._batch_max:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _answer(self, batch: list[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        try:
            results = await self._call([item for item, _ in batch])
        except BaseException as error:
            # Not only Exception: when the gatherer closes, callers must not wait for ever.
            told = error if isinstance(error, Exception) else Unavailable("the service is closing")
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(told)
            if not isinstance(error, Exception):
                raise
            return
        assert len(results) == len(batch)
        for (_, answer), result in zip(batch, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)
