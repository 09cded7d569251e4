"""Hasher: how content gets its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from juststorage.domain import ContentHash

__all__ = ["HashState", "Hasher"]


class HashState(Protocol):
    """A digest in the making, as `hashlib` has it.

    Used by one thread at a time, not always the same one. `update` with a large buffer must release
    the interpreter lock; that is what lets hashing overlap with receiving and writing.
    """

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Add bytes. What it returns means nothing; some libraries return the state."""
        ...

    def digest(self) -> bytes:
        """The digest of everything added so far."""
        ...


class Hasher(ABC):
    """A hash function with a name.

    Must be collision resistant against an adversary: equal hashes are stored as equal bytes.
    """

    algorithm: str
    """The word before the colon of its content hashes: `[a-z][a-z0-9_]{0,31}`."""

    @abstractmethod
    def new(self) -> HashState:
        """A fresh state. Sync, and cheap: called once for every upload."""

    def hash(self, data: bytes | bytearray | memoryview) -> ContentHash:
        """The content hash of bytes that are all at hand."""
        state = self.new()
        state.update(data)
        return ContentHash.of(self.algorithm, state.digest())
