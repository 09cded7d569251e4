"""FairTurns: large bodies share the event loop with each other before they share it with the rest.

A small request comes back to the event loop some ten times. Whatever is ready goes first each time:
of 200 large downloads from memory that is 50 ms, and half a second in all. So one piece goes out in
each round, whoever's it is, and a round stays as short as that of one download.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["FairTurns"]


class FairTurns:
    """Lets one piece a round of the event loop go, in the order of asking. For one event loop.

    Cost: one callback in each round while large bodies move, and for a body that moves alone two
    rounds a piece where its client takes it at once.
    """

    __slots__ = ("_is_free", "_is_running", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_free = True
        self._is_running = False

    async def take(self) -> None:
        """Wait for a turn, and no longer than that where this round has none behind it.

        Cancellation: the turn goes to the next one.
        """
        loop = asyncio.get_running_loop()
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._begin_round, loop)
        if self._is_free:
            self._is_free = False
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                loop.call_soon(self._begin_round, loop)
                return
        if self._is_free:
            self._is_running = False
        else:
            # Not at rest yet: who takes the free turn of this round has the next one watched.
            self._is_free = True
            loop.call_soon(self._begin_round, loop)
