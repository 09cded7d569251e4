"""The states of an object, the classes of storage, and the moves between states."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from juststorage.errors import Invalid, InvalidTransition

__all__ = ["ObjectStatus", "StorageClass"]


class StorageClass(StrEnum):
    """Which kind of volume holds the bytes."""

    HOT = "hot"
    COLD = "cold"

    @classmethod
    def parse(cls, text: str) -> StorageClass:
        """Read a client's word.

        Raises:
            Invalid: The word is neither `hot` nor `cold`.
        """
        try:
            return cls(text)
        except ValueError:
            raise Invalid("storage_class must be hot or cold") from None


class ObjectStatus(StrEnum):
    """Where an object is in its life. Only COMMITTED objects are visible to clients."""

    WRITING = "WRITING"
    COMMITTED = "COMMITTED"
    DELETING = "DELETING"
    DELETED = "DELETED"

    def to(self, target: ObjectStatus) -> ObjectStatus:
        """Move to `target`, or refuse.

        Raises:
            InvalidTransition: The state machine has no such move.
        """
        if target not in _MOVES[self]:
            raise InvalidTransition(f"an object cannot go from {self} to {target}")
        return target


_MOVES: Final[dict[ObjectStatus, frozenset[ObjectStatus]]] = {
    # WRITING -> DELETED is an upload that failed, was abandoned, or lost its lease.
    ObjectStatus.WRITING: frozenset({ObjectStatus.COMMITTED, ObjectStatus.DELETED}),
    ObjectStatus.COMMITTED: frozenset({ObjectStatus.DELETING}),
    ObjectStatus.DELETING: frozenset({ObjectStatus.DELETED}),
    ObjectStatus.DELETED: frozenset(),
}
