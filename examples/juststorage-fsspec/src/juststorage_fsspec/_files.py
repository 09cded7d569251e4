"""The few calls of fsspec that the store is made of, with what differs between filesystems."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

__all__ = ["Files", "OpenFile"]


class OpenFile:
    """A file that is being read. Threads may read at once; each call names its place."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._lock = threading.Lock()

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from there."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)

    def close(self) -> None:
        """Release it; idempotent."""
        with self._lock:
            self._file.close()


class Files:
    """A directory of a filesystem. Every method may block, and raises what fsspec raises."""

    def __init__(self, filesystem: AbstractFileSystem, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def prove(self) -> None:
        """Do once what uploads will do."""
        for directory in ("staging", "blobs"):
            self._fs.makedirs(self._path(directory), exist_ok=True)
        probe = f"staging/probe.{os.urandom(8).hex()}"
        file = self.create(probe)
        try:
            file.write(b"probe")
            self.finish(file)
            self.modified(probe)
        finally:
            file.close()
            self.remove(probe)

    def create(self, name: str) -> BinaryIO:
        """A file to write. It is listed at once, also where bytes appear only when it is closed."""
        self._fs.touch(self._path(name))
        return cast("BinaryIO", self._fs.open(self._path(name), "wb"))

    def finish(self, file: BinaryIO) -> None:
        """Close it, durably: a remote filesystem acknowledges by returning, a local one by sync."""
        if isinstance(self._fs, LocalFileSystem):
            file.flush()
            os.fsync(file.fileno())
        file.close()

    def move(self, name: str, to: str) -> None:
        """Give a finished file another name, durably."""
        parent = self._path(to).rpartition("/")[0]
        self._fs.makedirs(parent, exist_ok=True)
        self._fs.mv(self._path(name), self._path(to))
        if isinstance(self._fs, LocalFileSystem):
            # The entry of the file, and those of the two directories that may be new.
            for directory in (parent, parent.rpartition("/")[0], self._path("blobs")):
                _sync_directory(directory)

    def open(self, name: str) -> OpenFile:
        """Open a file to read."""
        size_bytes = self.size(name)
        file = self._fs.open(self._path(name), "rb")
        if isinstance(self._fs, MemoryFileSystem):
            # All readers would get the one object, with one position.
            file = io.BytesIO(file.getbuffer())
        return OpenFile(cast("BinaryIO", file), size_bytes)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        info = self._fs.info(self._path(name))
        if info["type"] != "file":
            raise FileNotFoundError(name)
        return int(info["size"])

    def modified(self, name: str) -> datetime:
        """When it was last written to."""
        at: datetime = self._fs.modified(self._path(name))
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)

    def remove(self, name: str) -> None:
        """Delete it, if it is there."""
        try:
            self._fs.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def listed(self, directory: str) -> Iterator[tuple[str, int]]:
        """Every file below a directory, by its name relative to that, with its size."""
        path = self._path(directory)
        self._fs.invalidate_cache()
        found: dict[str, Any] = self._fs.find(path, detail=True)
        prefix = self._fs._strip_protocol(path).rstrip("/") + "/"
        for name, info in found.items():
            yield name.removeprefix(prefix), int(info["size"])


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
