"""A deadline for what is no body: nobody waits for ever for a backend that does not answer.

A cancel scope or a timer for each request would cost a tenth of a small download. Here a request
costs an entry in a set, and one task looks at all of them now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

import anyio

from juststorage.errors import Unavailable
from juststorage_api._exchange import Exchange

__all__ = ["Deadlines"]


class Deadlines:
    """The requests under way, and how long they may be.

    Args:
        timeout_s: Seconds that a request may take, besides its bodies.
        refuse: Answers a request with an error.
    """

    def __init__(
        self, timeout_s: float, refuse: Callable[[Exchange, Exception], Coroutine[Any, Any, None]]
    ) -> None:
        self._timeout_s = timeout_s
        self._refuse = refuse
        self._under_way: set[Exchange] = set()
        self.add = self._under_way.add
        self.discard = self._under_way.discard

    def error(self) -> Unavailable:
        """What a request that took too long is told. What it asked for may still happen."""
        return Unavailable(f"the request was not done within {self._timeout_s:g} s")

    async def run(self) -> None:
        """Look after them until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(min(1.0, self._timeout_s / 4))
                now = perf_counter()
                for exchange in tuple(self._under_way):
                    if exchange.is_carrying:
                        exchange.since = max(exchange.since, now)
                        continue
                    if now - exchange.since <= self._timeout_s:
                        continue
                    # Once: what follows may take its time.
                    exchange.may_take_long()
                    if exchange.stop is not None:
                        exchange.stop()
                    else:
                        # Not cancelled: what runs may be a commit. It ends when its backend answers
                        # or gives up, and then finds that the client has its answer already.
                        tasks.start_soon(self._refuse, exchange, self.error())
