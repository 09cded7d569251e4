"""VerifiedContents: which large contents need not be hashed again while they are sent.

Hashing takes as much time as sending from memory does. What was hashed, has not been changed since
and did not leave memory is the same now; so it is remembered that it was hashed, for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from juststorage.domain import BlobKey

__all__ = ["VerifiedContents"]

_CONTENTS_MAX: Final = 16_384
"""Some 400 bytes each."""


class VerifiedContents:
    """The contents that were verified last, each with its reader's identity. For one event loop.

    What a program outside brought anew from a failing medium into memory cannot be told from what
    stayed there; that is what `for_s` bounds.

    Args:
        monotonic: Seconds on a clock that never jumps.
        for_s: Seconds for which a verification counts; 0 for not at all.
        damage_found: How often damage was found, by any process that shares the memory. One finding
            ends all trust: the bytes that failed are in the memory of the others, too.
    """

    __slots__ = ("_contents", "_damage", "_damage_found", "_for_s", "_monotonic")

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        for_s: float,
        damage_found: Callable[[], float] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._for_s = for_s
        self._damage_found = damage_found
        self._damage = damage_found() if damage_found is not None else 0
        self._contents: OrderedDict[BlobKey, tuple[str, float]] = OrderedDict()

    def now(self) -> float:
        """The time at which a verification begins, for `add`."""
        return self._monotonic()

    def has(self, key: BlobKey, identity: str | None) -> bool:
        """Whether this content was verified under this identity, and that still counts."""
        damage = self._damage_found() if self._damage_found is not None else 0
        if damage != self._damage:
            self._damage = damage
            self._contents.clear()
        found = self._contents.get(key)
        if found is None:
            return False
        if found[0] != identity or self._monotonic() - found[1] >= self._for_s:
            del self._contents[key]
            return False
        self._contents.move_to_end(key)
        return True

    def add(self, key: BlobKey, identity: str | None, since: float) -> None:
        """Remember a content whose verification began at `since`; the oldest one goes for it."""
        if identity is None or not self._for_s:
            return
        self._contents[key] = (identity, since)
        self._contents.move_to_end(key)
        if len(self._contents) > _CONTENTS_MAX:
            self._contents.popitem(last=False)

    def forget(self, key: BlobKey) -> None:
        """Have it hashed the next time."""
        self._contents.pop(key, None)
