"""One file to the server: its hash counted on the way, nothing stored that changed meanwhile."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final
from uuid import uuid4

import msgspec

from juststorage.cli import Progress
from juststorage.errors import (
    Conflict,
    Corrupt,
    IdempotencyInFlight,
    JustStorageError,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
from juststorage_api._client._resumable import RESUMABLE_BYTES, put_resumably
from juststorage_api._client._server import Server
from juststorage_api._client._target import Target

__all__ = ["PIECE_BYTES", "FileChanged", "NotRepeatable", "Stopped", "hash_of_file", "put"]

PIECE_BYTES: Final = 2**20


class FileChanged(Conflict):
    """A file became another one while it was read."""


class NotRepeatable(JustStorageError):
    """An upload broke off whose bytes cannot be read a second time."""

    code = "not_repeatable"


class Stopped(Unavailable):
    """Everything shall end; what was under way can be begun again."""


class Content:
    """The bytes of an open file, to be read once or, where it can be rewound, several times."""

    def __init__(self, file: IO[bytes], progress: Progress, stop: threading.Event) -> None:
        self._file = file
        self._progress = progress
        self._stop = stop
        self._was = os.fstat(file.fileno())
        # A pipe or a device has no size; what somebody else has begun to read has no beginning.
        is_file = stat.S_ISREG(self._was.st_mode) and file.seekable()
        self.can_rewind = is_file and file.tell() == 0
        self.size = self._was.st_size if self.can_rewind else None
        self.hasher = hashlib.sha256()
        self._hashed = 0
        self.sent = 0
        """How far it was sent in this go, whatever was before."""
        self.is_read = False
        """Whether any of it has been read."""
        self.furthest = 0
        """The most of it that was ever sent, in one go or by going on."""

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """All of it, from the beginning or from a place that was sent already.

        The last piece is held back until it is sure that the file is still what it was: a body that
        lacks it is not stored.

        Raises:
            FileChanged: It is not.
            Stopped: Everything shall end.
        """
        self.is_read = True
        if self.can_rewind:
            self._file.seek(start)
        self._progress.moved(start - self.sent)
        if start == 0:
            self.hasher = hashlib.sha256()
            self._hashed = 0
        self.sent = start
        held = self._read(start)
        while held:
            following = self._read(self.sent + len(held))
            if not following:
                self._require_unchanged(self.sent + len(held))
            # What is sent a second time was hashed the first time.
            self.hasher.update(held[max(0, self._hashed - self.sent) :])
            self._hashed = max(self._hashed, self.sent + len(held))
            yield held
            self.sent += len(held)
            self.furthest = max(self.furthest, self.sent)
            self._progress.moved(len(held))
            held = following

    def _read(self, offset: int) -> bytes:
        if self._stop.is_set():
            raise Stopped("ended before it was done")
        if self.size is None:
            return self._file.read(PIECE_BYTES)
        # Never more than was announced, should the file grow.
        return self._file.read(min(PIECE_BYTES, self.size - offset))

    def _require_unchanged(self, read_bytes: int) -> None:
        if self.size is None:
            return
        now = os.fstat(self._file.fileno())
        was = (self._was.st_size, self._was.st_mtime_ns)
        if (now.st_size, now.st_mtime_ns) != was or read_bytes != self.size:
            raise FileChanged("the file changed while it was read; nothing was stored")


def hash_of_file(file: IO[bytes], stop: threading.Event, algorithm: str = "sha256") -> str:
    """`sha256:...` of a file, from its beginning.

    Raises:
        UnsupportedOperation: This machine does not know the algorithm.
        Stopped: Everything shall end.
    """
    if algorithm not in hashlib.algorithms_available:
        raise UnsupportedOperation(f"hashes of the kind {algorithm} cannot be compared here")
    file.seek(0)
    hasher = hashlib.new(algorithm)
    while piece := file.read(PIECE_BYTES):
        if stop.is_set():
            raise Stopped("ended before it was done")
        hasher.update(piece)
    return f"{algorithm}:{hasher.hexdigest()}"


def put(
    server: Server,
    target: Target,
    file: IO[bytes],
    *,
    progress: Progress,
    headers: Mapping[str, str],
    storage_class: str | None = None,
    repeat: bool = True,
) -> dict[str, Any]:
    """Create the object that has this key, or replace it; what the server says that it holds.

    Args:
        server: The server.
        target: A key.
        file: What it shall hold.
        progress: Told of every piece.
        headers: `Content-Type`, conditions and the like.
        storage_class: Where to keep it; None for the server's default.
        repeat: Whether to send it again when the connection breaks, where the file allows that.
            The server answers a repetition as it did the first time, and stores nothing twice.
            Each repetition sends all of it, but for a file of `RESUMABLE_BYTES` or more, which goes
            on from what the server has. One that gets no further than those before it is no
            progress, so that what never arrives is given up.

    Raises:
        FileChanged: The file changed; nothing was stored.
        NotRepeatable: It broke off, and what was read is gone: it came from a pipe.
        Corrupt: The server has other bytes than were sent.
        JustStorageError: As the server says.
    """
    content = Content(file, progress, server.stop)
    if repeat and content.size is not None and content.size >= RESUMABLE_BYTES:
        resumed = put_resumably(
            server, target, content, headers=headers, storage_class=storage_class
        )
        if resumed is not None:
            return _checked(resumed, content, target)
    sent = {"content-type": "application/octet-stream", **headers}
    if content.size is not None:
        sent["content-length"] = str(content.size)
    if repeat:
        sent["idempotency-key"] = str(uuid4())
    params = {} if storage_class is None else {"storage_class": storage_class}
    patience = server.patience()
    while True:
        before = content.furthest
        try:
            with server.answer(
                "PUT", target.path, params=params, headers=sent, content=content.pieces()
            ) as response:
                stored: dict[str, Any] = msgspec.json.decode(response.read())
                break
        except (Unavailable, RateLimited, IdempotencyInFlight) as error:
            if isinstance(error, Stopped):
                raise
            if content.is_read and not content.can_rewind:
                raise NotRepeatable(
                    f"{error.detail}; what has been read from standard input cannot be sent again,"
                    " so begin anew with all that writes to it"
                ) from error
            if not (repeat and content.can_rewind):
                raise
            if content.furthest > before:
                patience.progressed()
            patience.wait(error)
    return _checked(stored, content, target)


def _checked(stored: dict[str, Any], content: Content, target: Target) -> dict[str, Any]:
    ours = f"sha256:{content.hasher.hexdigest()}"
    if str(stored["content_hash"]).startswith("sha256:") and stored["content_hash"] != ours:
        raise Corrupt(f"{target} holds other bytes than were sent: they were damaged on the way")
    return stored
