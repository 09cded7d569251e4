"""Where the current keys come from: fixed, or read again and again.

A set that is read has three rules. It is read when it grows old, in the background; and at once
when a token names a key that is not in it, because then the issuer has probably changed its keys;
but never twice within the cool-down, however many made-up names come along. And a set that cannot
be read leaves the one that we have: keys do not go bad because a network does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from juststorage.errors import Unavailable
from juststorage.ports import Clock
from juststorage_api._auth.jwt._keys import KeyRing

__all__ = ["FixedRing", "ReadRing", "RingSource"]


class RingSource(Protocol):
    """The current keys."""

    async def current(self, key_id: str | None) -> KeyRing:
        """The keys to judge a token by that names `key_id`.

        Raises:
            Unavailable: There have never been any.
        """
        ...


class FixedRing:
    """Keys from configuration."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def current(self, key_id: str | None) -> KeyRing:
        """The same ones, always."""
        del key_id
        return self._ring


class ReadRing:
    """Keys that are read from somewhere.

    Args:
        read: Reads them; raises `Unavailable` when it cannot, in words for the log.
        clock: For ages.
        refresh_s: Age at which they are read again.
        cooldown_s: Least time between two reads.
        logger: Told when keys change or cannot be read.
        changed: Called when there are other keys than before.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[KeyRing]],
        *,
        clock: Clock,
        refresh_s: float,
        cooldown_s: float,
        logger: logging.Logger,
        changed: Callable[[], None],
    ) -> None:
        self._read = read
        self._clock = clock
        self._refresh_s = refresh_s
        self._cooldown_s = cooldown_s
        self._logger = logger
        self._changed = changed
        self._ring: KeyRing | None = None
        self._tried_at: float | None = None
        self._reading: anyio.Event | None = None

    async def current(self, key_id: str | None) -> KeyRing:
        """The keys, read anew first if they do not have this one."""
        ring = self._ring
        if ring is not None and ring.knows(key_id):
            return ring
        await self._refresh()
        if self._ring is None:
            wait_s = max(1.0, (self._tried_at or 0) + self._cooldown_s - self._clock.monotonic())
            raise Unavailable("the keys of the token issuer cannot be read", retry_after_s=wait_s)
        return self._ring

    async def run(self) -> None:
        """Read the keys now, and again whenever they have grown old, until cancelled."""
        while True:
            await self._refresh()
            wait_s = self._refresh_s if self._ring is not None else self._cooldown_s
            await self._clock.sleep(wait_s)

    async def _refresh(self) -> None:
        """Read, unless that was done within the cool-down. Who comes meanwhile waits for it."""
        if self._reading is not None:
            await self._reading.wait()
            return
        now = self._clock.monotonic()
        if self._tried_at is not None and now - self._tried_at < self._cooldown_s:
            return
        self._tried_at = now
        self._reading = done = anyio.Event()
        try:
            ring = await self._read()
        except Unavailable as error:
            kept = "" if self._ring is None else "; those that are known stay"
            self._logger.warning("the keys cannot be read: %s%s", error.detail, kept)
            return
        finally:
            self._reading = None
            done.set()
        if self._ring != ring:
            self._logger.info("the keys are %s", "read" if self._ring is None else "other ones now")
            self._ring = ring
            self._changed()
