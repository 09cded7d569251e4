"""Hasher: how content gets its name.

Core hashes what it receives, block by block; a hasher only says with which function. The name
of content carries the algorithm (`sha256:<hex>`), so another hasher may be chosen for new content
at any time, and content that was stored before is found by its old name.

**Durability.** A digest is for ever: with the same algorithm the same bytes have the same digest in
every version, on every machine, with any options. What would change it is another algorithm. The
plugin must stay installed as long as content is stored under its names.

**Cancellation.** There is nothing to cancel: every method is sync. A state whose upload was
cancelled is dropped without a call.

**Errors.** None are expected. Whatever a hasher raises ends the upload as a fault of the plugin.

**Concurrency.** Many states are in use at once, each by one thread at a time.
"""

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
