"""Silence: a server that accepts what it is sent and says nothing, found out once for all.

An error report comes at once; silence costs whoever meets it the whole of its time. A request asks
several times: who is calling, begin, and once more whether that has happened. Each of them meeting
the silence by itself, a request would be answered after many times the statement timeout. So once a
statement has had no answer in time, those that follow first wait for a short look on a connection
of its own. While that shows silence, they fail at once.

A look, and not the timeout alone, decides: a single statement may be slow for a reason of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import anyio

from juststorage_postgres._errors import DRIVER_ERRORS

__all__ = ["LOOK_S", "Silence"]

LOOK_S: Final = 1.0
"""Seconds that a look may take."""

_PAUSE_S: Final = 0.5
"""Seconds between two looks at a silent server: with the look, how late its return is noticed."""


class Silence:
    """What is known about the server. There is no task of its own: callers do the looking.

    Args:
        look: Ask the server anything, within `LOOK_S`; one of `DRIVER_ERRORS` where it is silent.
    """

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._looking: anyio.Event | None = None
        self._is_suspected = False
        self._is_silent = False
        self._again_at = 0.0
        self.found_at = 0.0
        """When a connection, or the server, was last found silent: connections that were opened
        before are not trusted."""

    def suspect(self) -> None:
        """Something had no answer in time."""
        self._is_suspected = True

    def found_on_a_connection(self) -> None:
        """A statement had no answer in time, not even that it took too long."""
        self.suspect()
        self.found_at = monotonic()

    async def check(self) -> None:
        """Return when the server is to be asked.

        Raises:
            TimeoutError: It is silent.
        """
        while self._is_suspected:
            if self._is_silent and (self._looking is not None or monotonic() < self._again_at):
                raise TimeoutError("the server has not answered for some time")
            if self._looking is not None:
                await self._looking.wait()
            else:
                await self._find_out()

    async def _find_out(self) -> None:
        over = self._looking = anyio.Event()
        try:
            await self._look()
        except DRIVER_ERRORS:
            self._is_silent = True
            self.found_at = monotonic()
        else:
            self._is_suspected = self._is_silent = False
        finally:
            # Cancelled, it has found out nothing: the next caller looks.
            self._again_at = monotonic() + _PAUSE_S
            self._looking = None
            over.set()
