"""One object to a file or a stream: resumed where it broke off, its hash compared at the end.

A file is written beside its destination and takes its name once it is whole, durable and right.
What has arrived until a connection is lost for good stays there, under a name that says whose hash
it is: the same command goes on from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from juststorage.cli import Progress
from juststorage.errors import (
    Conflict,
    Corrupt,
    JustStorageError,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Unavailable,
)
from juststorage_api._client._problems import wants_tenant
from juststorage_api._client._server import Server
from juststorage_api._client._target import Target
from juststorage_api._client._upload import PIECE_BYTES, Stopped

__all__ = ["Content", "find", "get_to_file", "get_to_stream"]

_REPLACED_MAX: Final = 5
"""How often a key may come to hold another object while it is being read."""


class Content(NamedTuple):
    """What an object holds."""

    object_id: str
    content_hash: str
    size: int
    content_type: str = ""

    @property
    def etag(self) -> str:
        """As it is in header fields."""
        return f'"{self.content_hash}"'

    @property
    def algorithm(self) -> str:
        """What its hash is of."""
        return self.content_hash.partition(":")[0]


def find(server: Server, target: Target) -> Content:
    """What is there now.

    Raises:
        NotFound: Nothing.
        JustStorageError: As the server says.
    """
    try:
        headers = server.call("HEAD", target.path, params=target.query).headers
    except NotFound as error:
        raise NotFound(f"{target}: there is no such object") from error
    except JustStorageError as error:
        with wants_tenant("id:ID@TENANT"):
            raise server.explained(error, target.path, params=target.query) from error
    return Content(
        headers["x-object-id"],
        headers["etag"].strip('"'),
        int(headers["content-length"]),
        headers.get("content-type", ""),
    )


def get_to_stream(server: Server, target: Target, out: IO[bytes], progress: Progress) -> Content:
    """Write an object to a stream.

    Raises:
        Conflict: It was replaced meanwhile; what was written is a part of what was there.
        Corrupt: What was written is not what was uploaded.
    """
    content = find(server, target)
    hasher = _hasher(content)

    def take(piece: bytes) -> None:
        out.write(piece)
        if hasher is not None:
            hasher.update(piece)

    try:
        _receive(server, target, content, take, progress)
    except PreconditionFailed as error:
        raise Conflict(f"{target} was replaced while it was read: the output is cut off") from error
    out.flush()
    _require_right(target, content, hasher)
    return content


def get_to_file(
    server: Server,
    target: Target,
    path: Path,
    progress: Progress,
    *,
    content: Content | None = None,
) -> Content:
    """Write an object to a file, which is replaced as a whole, or not at all.

    Args:
        server: The server.
        target: The object. When its key comes to hold another one meanwhile, that one is fetched.
        path: The file.
        progress: Told of every piece, those included that were there already.
        content: What is expected there; asked for when not given.

    Raises:
        Unavailable: The server went away; what has arrived is kept.
        Corrupt: What arrived is not what was uploaded; the file is as it was.
        OSError: The file cannot be written; it is as it was, and nothing is kept.
    """
    for _ in range(_REPLACED_MAX):
        now = content or find(server, target)
        before = progress.bytes
        with _partial(path, now) as part:
            try:
                _complete(server, target, now, part, progress)
            except PreconditionFailed:
                progress.moved(before - progress.bytes)
                content = None
                part.keep = False
                continue
            part.publish(path)
            return now
    raise Conflict(f"{target} is replaced all the time: it could not be read as a whole")


class _Part:
    """A file that is not whole yet."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.file = file
        self.keep = False

    def publish(self, path: Path) -> None:
        """Give it its name, durably."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.path.replace(path)
        self.keep = True  # there is nothing left to be removed
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _partial(path: Path, content: Content) -> Iterator[_Part]:
    """Open what has arrived of this content for this path, or begin it; alone."""
    # By the name too: two files of one directory may have equal bytes, and be fetched at once.
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    digest = content.content_hash.partition(":")[2][:32]
    where = path.parent / f".juststorage-{digest}-{mark}.part"
    descriptor = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+b") as file:  # noqa: PTH123  a descriptor has no path
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"{path} is being written by another process") from None
        part = _Part(where, file)
        try:
            yield part
        finally:
            if not part.keep:
                with contextlib.suppress(FileNotFoundError):
                    where.unlink()


def _complete(
    server: Server, target: Target, content: Content, part: _Part, progress: Progress
) -> None:
    """Fetch what is missing, and compare all of it."""
    hasher = _hasher(content)
    file = part.file
    offset = 0
    if os.fstat(file.fileno()).st_size > content.size:
        file.truncate(0)
    while piece := file.read(PIECE_BYTES):
        offset += len(piece)
        if hasher is not None:
            hasher.update(piece)
        progress.moved(len(piece))

    def take(piece: bytes) -> None:
        file.write(piece)
        if hasher is not None:
            hasher.update(piece)

    try:
        _receive(server, target, content, take, progress, offset=offset)
    except (Unavailable, KeyboardInterrupt):
        part.keep = True
        raise
    _require_right(target, content, hasher)


def _receive(
    server: Server,
    target: Target,
    content: Content,
    take: Callable[[bytes], None],
    progress: Progress,
    *,
    offset: int = 0,
) -> None:
    """Everything from `offset` on, with as many requests as that takes.

    Raises:
        PreconditionFailed: The key holds something else now.
    """
    patience = server.patience()
    while offset < content.size:
        headers = {"if-match": content.etag}
        if offset:
            headers["range"] = f"bytes={offset}-"
        try:
            with server.answer("GET", target.path, params=target.query, headers=headers) as answer:
                _require_range(answer, offset, content)
                for piece in answer.iter_raw():
                    if server.stop.is_set():
                        raise Stopped("ended before it was done")
                    take(piece)
                    offset += len(piece)
                    progress.moved(len(piece))
                    patience.progressed()
        except (Unavailable, RateLimited) as error:
            if isinstance(error, Stopped):
                raise
            patience.wait(error)


def _require_range(answer: Any, offset: int, content: Content) -> None:
    """Refuse other bytes than those that were asked for: proxies have been seen to send them."""
    first = f"bytes {offset}-{content.size - 1}/{content.size}"
    if offset and (answer.status_code != 206 or answer.headers.get("content-range") != first):
        raise JustStorageError("something on the way to the server does not pass ranges on")
    if answer.headers.get("etag") != content.etag:
        raise PreconditionFailed("it holds other bytes than it did")


def _hasher(content: Content) -> Any:
    """What counts the hash; None for an algorithm that this machine does not know."""
    known = content.algorithm in hashlib.algorithms_available
    return hashlib.new(content.algorithm) if known else None


def _require_right(target: Target, content: Content, hasher: Any) -> None:
    if hasher is None:
        return
    if hasher.hexdigest() != content.content_hash.partition(":")[2]:
        raise Corrupt(f"{target}: what arrived is not what was uploaded ({content.content_hash})")
