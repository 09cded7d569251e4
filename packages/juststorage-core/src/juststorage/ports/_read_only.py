"""The switch of read-only mode, as a metadata store keeps it."""

from __future__ import annotations

import msgspec

__all__ = ["ReadOnlySwitch"]


class ReadOnlySwitch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How the switch stands.

    Args:
        on: Whether changes of objects are to be refused.
        turns: How often it was turned, to whichever side: another number is another turn, also
            where it was turned to the side on which it was.
    """

    on: bool = False
    turns: int = 0
