"""SharedCalls: requests that ask the same at the same time have one answer made for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["SharedCalls"]

KeyT = TypeVar("KeyT", bound=Hashable)
ResultT = TypeVar("ResultT")


class SharedCalls(Generic[KeyT, ResultT]):
    """One call under way for each key. Runs on asyncio, in one thread.

    Whoever asks while a call is under way waits for the next one, never for that one: every answer
    comes from a call that began after its request did, hence nobody is told what was true before
    they asked. There is no timer, so a lone request waits for nothing, and nothing is kept.

    Args:
        call: Makes the answer of a key, which is never None.
    """

    def __init__(self, call: Callable[[KeyT], Awaitable[ResultT]]) -> None:
        self._call = call
        self._waiting: dict[KeyT, list[asyncio.Future[ResultT | None]]] = {}

    @property
    def waiting(self) -> int:
        """Keys with a call under way."""
        return len(self._waiting)

    async def answer(self, key: KeyT) -> ResultT:
        """The answer of a call that begins now or later.

        Cancellation: whoever makes a call that others wait for as well leaves it to one of them.

        Raises:
            Exception: What the call raised; also to those that waited for it.
        """
        followers: list[asyncio.Future[ResultT | None]] = []
        if key in self._waiting:
            turn: asyncio.Future[ResultT | None] = asyncio.get_running_loop().create_future()
            self._waiting[key].append(turn)
            answered = await self._wait(key, turn)
            if answered is not None:
                return answered
            followers = self._waiting[key]
        # Those that come from now on are not answered by this call.
        self._waiting[key] = []
        try:
            result = await self._call(key)
        except BaseException as error:
            if isinstance(error, Exception):
                for each in followers:
                    if not each.done():
                        each.set_exception(error)
            else:
                self._waiting[key] = followers + self._waiting[key]
            raise
        else:
            for each in followers:
                if not each.done():
                    each.set_result(result)
            return result
        finally:
            self._pass_on(key)

    async def _wait(self, key: KeyT, turn: asyncio.Future[ResultT | None]) -> ResultT | None:
        """The answer, or None once it is this one's turn to make it."""
        try:
            return await turn
        except asyncio.CancelledError:
            was_told = turn.done() and not turn.cancelled() and turn.exception() is None
            if was_told and turn.result() is None:
                self._pass_on(key)  # its turn had come, and it is gone
            raise

    def _pass_on(self, key: KeyT) -> None:
        """Let the first that still waits make the next call, for all that wait."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]
