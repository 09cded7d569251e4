"""Word that a service is about to stop, for whoever answers requests meanwhile."""

from __future__ import annotations

__all__ = ["Leaving"]


class Leaving:
    """Whether the service has begun to leave: it still works, and wants no more new work.

    From then on it is not ready, and each answer asks its client to come back on a connection to
    somebody else. A plain attribute, because every answer looks at it.
    """

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """There is no way back."""
        self.begun = True
