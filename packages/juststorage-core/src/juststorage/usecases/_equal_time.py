"""EqualTime: what is stored already takes as long as what is not.

Bytes that are there are not written again, so how soon an upload is answered tells whoever knows
them that somebody has stored them. Writing them all the same would cost the disk; waiting costs
that client alone. So content that is there waits for as long as a recent upload of about the same
size has taken whose content was not.
"""

from __future__ import annotations

import random
from collections import deque
from contextlib import suppress
from typing import Final

from juststorage.domain import ObjectId
from juststorage.errors import JustStorageError
from juststorage.ports import BlobStore, Clock, Committed, Reservation

__all__ = ["EqualTime"]

_KEPT: Final = 64
"""Durations of each size that are remembered: enough to have their spread, few enough to be of
these seconds and their load."""

_LATE_WEIGHT: Final = 0.1
"""Of the newest one, in the running mean of how much too long a wait was."""

_FIRST_BYTES_MAX: Final = 1024 * 1024


class EqualTime:
    """What new content took lately, by its size. For one event loop, and one way to upload.

    Args:
        clock: Measures, and waits.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chance = random.SystemRandom()
        self._late_s = 0.0
        self._took_s: dict[int, deque[float]] = {}

    async def even(
        self,
        store: BlobStore,
        size_bytes: int,
        reserved: Reservation | Committed,
        *,
        since: float,
    ) -> None:
        """Remember how long new content took, or wait where it was none.

        Args:
            store: Where the content is.
            size_bytes: Its size.
            reserved: What the metadata store said of it.
            since: When that was asked, by the clock.

        Cancellation: the upload is over by then, and stays what it is.
        """
        size = size_bytes.bit_length()
        if isinstance(reserved, Reservation) and reserved.locator is None:
            kept = self._took_s.setdefault(size, deque(maxlen=_KEPT))
            kept.append(self._clock.monotonic() - since)
            return
        if not self._took_s:
            # After a start. It costs about what new content does, and nobody gets to see it.
            with suppress(JustStorageError):
                async with await store.stage(ObjectId.new()) as staged:
                    await staged.write(bytes(min(size_bytes, _FIRST_BYTES_MAX)))
                    await staged.finish()
            return
        nearest = min(self._took_s, key=lambda other: abs(other - size))
        took_s = self._chance.choice(self._took_s[nearest])
        until = since + took_s
        if (left_s := until - self._late_s - self._clock.monotonic()) <= 0:
            return
        await self._clock.sleep(left_s)
        # Timers of event loops are of a millisecond, and late: enough to tell the two apart again.
        late_s = self._late_s + self._clock.monotonic() - until
        self._late_s = max(0.0, self._late_s + _LATE_WEIGHT * (late_s - self._late_s))
