"""SHA-256."""

from __future__ import annotations

import hashlib

from juststorage.ports import Hasher, HashState

__all__ = ["Sha256Hasher"]


class Sha256Hasher(Hasher):
    """SHA-256 as `hashlib` has it: it releases the interpreter lock for buffers over 2 KiB."""

    algorithm = "sha256"

    def new(self) -> HashState:
        """A fresh state."""
        return hashlib.sha256(usedforsecurity=True)
