"""One large file to the server in as many requests as the connection needs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from juststorage.errors import (
    JustStorageError,
    NotFound,
    OffsetMismatch,
    RateLimited,
    TooSlow,
    Unavailable,
    UploadExpired,
    UploadInUse,
)
from juststorage_api._client._problems import NotOffered
from juststorage_api._client._server import Patience, Server
from juststorage_api._client._target import Target

if TYPE_CHECKING:
    from juststorage_api._client._upload import Content

__all__ = ["RESUMABLE_BYTES", "put_resumably"]

RESUMABLE_BYTES: Final = 64 * 2**20
"""From this size on. It costs two requests more, which a smaller file would feel; one that is sent
again as a whole is sent in a second or so at the speed at which this would matter."""

_HASHED_BYTES_S: Final = 50e6
"""How fast a server hashes what came in several requests, at least, before it answers the last."""

_GIVING_UP_S: Final = 5.0

_AGAIN: Final = (
    Unavailable,
    RateLimited,
    TooSlow,
    UploadInUse,
    OffsetMismatch,
    NotFound,
    UploadExpired,
)
"""After these the server is asked where it is. The last two as well: they may be the answer to a
request that came after the one which stored it."""

_TUS: Final = {"tus-resumable": "1.0.0"}


def put_resumably(
    server: Server,
    target: Target,
    content: Content,
    *,
    headers: Mapping[str, str],
    storage_class: str | None,
) -> dict[str, Any] | None:
    """Create or replace the object, going on after each break where the server is.

    Args:
        server: The server.
        target: A key.
        content: A file that can be rewound.
        headers: `Content-Type`, conditions and the like.
        storage_class: Where to keep it; None for the server's default.

    Returns:
        What the server says that it holds; None where it cannot do this, and nothing is stored.

    Raises:
        FileChanged: The file changed; nothing was stored.
        Unavailable: Nothing came of it for too long. Of what was sent whole nobody said what became
            of it: it is left to the server, which may store it yet.
        JustStorageError: As the server says; nothing was stored.
    """
    assert content.size is not None, "it has a size"
    upload = _Upload(server, target, content.size, headers, storage_class)
    try:
        return _in_turns(server, upload, content)
    except _AGAIN as error:
        if not upload.is_whole:
            upload.give_up()
            raise
        # Whoever ends it now may end what is about to be stored.
        if isinstance(error, Unavailable):
            raise
        raise Unavailable(
            f"{server.url} was sent all of {target} and did not say in time what became of it:"
            " it may be stored yet"
        ) from error
    except BaseException:
        upload.give_up()
        raise


def _in_turns(server: Server, upload: _Upload, content: Content) -> dict[str, Any] | None:
    offset, furthest, patience = 0, 0, server.patience()
    is_begun = upload.begin()
    while is_begun:
        before = content.furthest
        try:
            return upload.send(offset, content)
        except _AGAIN as error:
            if server.stop.is_set():
                raise
            if content.furthest > before:
                patience.progressed()
            upload.wait(error, patience)
        offset_now = upload.offset(patience)
        if offset_now is None:
            # The server has forgotten it, as one in memory does that was started anew; or it is of
            # an older release, beside a newer one that began it.
            is_begun, offset = upload.begin_anew(), 0
            continue
        offset = offset_now
        if offset > furthest:
            # More than ever: what a server had, forgot and was sent again is no progress.
            furthest = offset
            patience.progressed()
    return None


class _Upload:
    """The requests of one upload."""

    def __init__(
        self,
        server: Server,
        target: Target,
        size: int,
        headers: Mapping[str, str],
        storage_class: str | None,
    ) -> None:
        self._server = server
        self._size = size
        self._url = ""
        self._hashing: Patience | None = None
        self.is_whole = False
        """Whether the server may have all bytes, and with them what it takes to store them."""
        self._headers = {**_TUS, **headers, "upload-length": str(size)}
        self._params = {
            "namespace": str(target.namespace),
            "tenant_id": str(target.tenant),
            "key": str(target.key),
            "replace": "true",
            **({} if storage_class is None else {"storage_class": storage_class}),
        }

    def begin(self) -> bool:
        """Whether it has begun: not where the server, or its store, cannot do this."""
        try:
            response = self._server.call(
                "POST", "/v1/uploads", params=self._params, headers=self._headers
            )
        except (NotFound, NotOffered):  # an older release has no such path
            return False
        self._url = str(response.headers["location"])
        return True

    def begin_anew(self) -> bool:
        """As `begin`, for an upload that the server does not know.

        Raises:
            Unavailable: It was sent whole. It may have been stored, and another object have taken
                its place since: to send it again would undo that.
        """
        if self.is_whole:
            raise Unavailable(
                "the server was sent all bytes and knows nothing of the upload: whether it was"
                " stored cannot be told"
            )
        return self.begin()

    def wait(self, error: JustStorageError, patience: Patience) -> None:
        """Wait before the next try.

        A server that has all bytes may be reading them once more: as long as that can take, it is
        waited for beyond the patience with one that does not get on.

        Raises:
            JustStorageError: `error`, when it has taken too long.
        """
        if not (self.is_whole and isinstance(error, UploadInUse)):
            patience.wait(error)
            return
        if self._hashing is None:
            self._hashing = self._server.patience(more_s=self._size / _HASHED_BYTES_S)
        self._hashing.wait(error)
        patience.progressed()

    def give_up(self) -> None:
        """Have the server forget it, if it can be reached: nobody will go on with it."""
        if self._url:
            with (
                suppress(JustStorageError),
                self._server.answer("DELETE", self._url, headers=_TUS, timeout=_GIVING_UP_S),
            ):
                pass

    def offset(self, patience: Patience) -> int | None:
        """How much the server has for good, or None where it knows of no such upload."""
        try:
            response = self._server.call("HEAD", self._url, headers=_TUS, patience=patience)
        except NotFound:
            return None
        offset = int(response.headers["upload-offset"])
        self.is_whole = self.is_whole or offset == self._size
        return offset

    def send(self, offset: int, content: Content) -> dict[str, Any]:
        """All that is missing; what the server then holds.

        Raises:
            Unavailable: The connection broke.
            JustStorageError: As the server says.
        """
        headers = {
            **_TUS,
            "content-type": "application/offset+octet-stream",
            "content-length": str(self._size - offset),
            "prefer": "return=representation",
            "upload-offset": str(offset),
        }
        try:
            with self._server.answer(
                "PATCH",
                self._url,
                headers=headers,
                content=content.pieces(offset),
                timeout=self._server.timeout(self._size / _HASHED_BYTES_S),
            ) as response:
                stored: dict[str, Any] = msgspec.json.decode(response.read())
        finally:
            self.is_whole = self.is_whole or content.sent == self._size
        return stored
