"""Read-only mode: how it stands in this instance, and how all others come to know.

The switch is kept by the metadata store. Nobody asks it while a request is served: each instance
has its own last known state, in the memory that its workers share, and looks at the switch every
two seconds. A store that cannot be asked changes nothing: what was known last goes on to hold.
docs/adr/0029.
"""

from __future__ import annotations

import logging
import math
from typing import Final, NoReturn

import anyio

from juststorage.errors import JustStorageError
from juststorage.metrics import Sheet
from juststorage.ports import Clock, MetadataStore, ReadOnlySwitch

__all__ = ["ReadOnlyMode"]

_STATE: Final = "juststorage_read_only"
_TURNS: Final = "juststorage_read_only_turns"
_DUE: Final = "juststorage_monitor_due_seconds"

_TICK_S: Final = 1.0
_LOOK_S: Final = 2.0
"""One worker of an instance looks so often; with ticks and a slow answer it is 5 s at most."""

_PATIENCE_S: Final = 2.0
"""For one look."""

_TURN_PATIENCE_S: Final = 5.0
"""For one turn. The instance that was told obeys before that."""

_log: Final = logging.getLogger("juststorage.runtime")


class ReadOnlyMode:
    """Whether changes of objects are refused, in all workers of an instance.

    Args:
        sheet: Of this worker; its table is the instance's.
    """

    def __init__(self, sheet: Sheet, metadata: MetadataStore, clock: Clock) -> None:
        self._sheet = sheet
        self._metadata = metadata
        self._clock = clock
        self._fails = False
        self._began_by: str | None = None
        """Why the instance stands still from its start on, until that has been told."""

    @property
    def on(self) -> bool:
        """As it is known now. Asks nobody."""
        return self._sheet.common(_STATE) == 1

    async def begin(self, *, configured: bool) -> None:
        """Find out how it stands, unless another worker of this instance has.

        Raises:
            Unavailable: The store cannot be asked. Who would serve without knowing might change
                what somebody wanted to stand still.
        """
        if not math.isnan(self._sheet.common(_STATE)):
            return
        kept = await self._metadata.read_only() or ReadOnlySwitch()
        self._sheet.set_common(_TURNS, kept.turns)
        self._sheet.set_common(_STATE, configured or kept.on)
        if configured or kept.on:
            self._began_by = "server.read_only" if configured else "the switch that the store keeps"

    async def turn(self, *, on: bool) -> bool:
        """Turn it: here at once, whatever the store says to it, and everywhere by way of the store.

        Returns:
            Whether the store keeps it. False where it cannot, or did not answer in time: only this
            instance follows, and it does until its switch is turned again.
        """
        self._sheet.set_common(_STATE, on)
        kept: ReadOnlySwitch | None = None
        try:
            with anyio.move_on_after(_TURN_PATIENCE_S):
                kept = await self._metadata.turn_read_only(on=on)
        except JustStorageError as error:
            _log.error("read_only_not_kept", extra={"read_only": on}, exc_info=error)
        if kept is None:
            return False
        # Of two that turn it at once, the store says who was last.
        self._follow(kept)
        return True

    async def follow_forever(self) -> NoReturn:
        """Look at the switch again and again; of several workers one does, whoever comes first.

        Begins by telling that the instance stands still, where it does. Not told by `begin`, which
        commands pass as well that open the store for a moment, many of them only to read.
        """
        if self._began_by is not None:
            _log.warning(
                "read-only mode is on from the start, by %s: objects do not change until"
                ' POST /v1/admin/read-only {"read_only": false}',
                self._began_by,
            )
            self._began_by = None
        while True:
            await self._clock.sleep(_TICK_S)
            if self._clock.monotonic() < self._sheet.common(_DUE, "read_only"):
                continue
            self._sheet.set_common(_DUE, self._clock.monotonic() + _LOOK_S, "read_only")
            await self._look()

    async def _look(self) -> None:
        known = self._sheet.common(_TURNS)
        try:
            with anyio.fail_after(_PATIENCE_S):
                kept = await self._metadata.read_only()
        except (JustStorageError, TimeoutError) as error:
            if not self._fails:
                _log.warning(
                    "read_only_unknown", extra={"read_only_still": self.on}, exc_info=error
                )
            self._fails = True
            return
        self._fails = False
        # Another number, not a higher one: a database that was restored may count anew. And only
        # where nobody turned it meanwhile, whose answer is younger than this one.
        if kept is not None and kept.turns != known and self._sheet.common(_TURNS) == known:
            if kept.on != self.on:
                _log.warning("read-only mode is %s", "on" if kept.on else "off")
            self._follow(kept)

    def _follow(self, kept: ReadOnlySwitch) -> None:
        self._sheet.set_common(_STATE, kept.on)
        self._sheet.set_common(_TURNS, kept.turns)
