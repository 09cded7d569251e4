"""BLAKE3, from the package of its authors."""

from __future__ import annotations

from blake3 import blake3
from juststorage.ports import Hasher, HashState

__all__ = ["Blake3Hasher"]


class Blake3Hasher(Hasher):
    """BLAKE3 with 32 bytes. It releases the interpreter lock for large buffers."""

    algorithm = "blake3"

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def new(self) -> HashState:
        return blake3(max_threads=self._threads)
