"""Word that a service is about to stop, for whoever answers requests meanwhile."""

from __future__ import annotations

__all__ = ["Leaving"]


class Leaving:
    """Whether the service has begun to leave: it still works, and wants no more new work.

    From then on it is not ready, and each answer asks its client to come back on a connection to
    somebody else. Plain attributes, because every answer looks at them.
    """

    __slots__ = ("begun", "cuts")

    def __init__(self) -> None:
        self.begun = False
        self.cuts = False

    def begin(self) -> None:
        """There is no way back."""
        self.begun = True

    def cut(self) -> None:
        """Time is up: requests that are cancelled from now on are so because of that."""
        self.begin()
        self.cuts = True
