"""When keys were last used: recorded beside the requests, never on their path."""

from __future__ import annotations

import logging

import anyio

from juststorage.errors import JustStorageError
from juststorage.ports import ApiKeyRepository, Clock

__all__ = ["LastUsed"]

_TICK_S = 5.0
_INTERVAL_S = 60.0
_CLOSE_TIMEOUT_S = 2.0


class LastUsed:
    """Collects the keys that were used and touches each at most once a minute.

    Its size is bounded by the number of keys that were accepted within the last minute.
    """

    def __init__(self, keys: ApiKeyRepository, *, clock: Clock, logger: logging.Logger) -> None:
        self._keys = keys
        self._clock = clock
        self._logger = logger
        self._used: set[str] = set()
        self._touched_at: dict[str, float] = {}

    def add(self, key_id: str) -> None:
        """Note a use; costs one insertion into a set."""
        self._used.add(key_id)

    async def run(self) -> None:
        """Touch what was used, every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(_TICK_S)
            await self.flush()

    async def flush(self) -> None:
        """Touch the used keys whose last touch is a minute ago.

        A store that cannot answer now is tried again at the next tick: a time stamp that is late
        must not stop a service.
        """
        now = self._clock.monotonic()
        for key_id in [key for key, at in self._touched_at.items() if now - at >= _INTERVAL_S]:
            del self._touched_at[key_id]
        due = frozenset(self._used - self._touched_at.keys())
        if not due:
            return
        try:
            await self._keys.touch(due)
        except JustStorageError as error:
            self._logger.warning("the last use of %d API keys is not recorded: %s", len(due), error)
            return
        self._used -= due
        self._touched_at.update(dict.fromkeys(due, now))

    async def flush_at_close(self) -> None:
        """Record what is left, within 2 s; also when the service is being cancelled."""
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await self.flush()
