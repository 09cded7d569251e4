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

_AGAIN: Final = (Unavailable, RateLimited, UploadInUse, OffsetMismatch)
_ANEW: Final = (NotFound, UploadExpired)
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
        JustStorageError: As the server says, or the last break without any progress since.
    """
    assert content.size is not None, "it has a size"
    upload = _Upload(server, target, content.size, headers, storage_class)
    try:
        return _in_turns(server, upload, content)
    except BaseException:
        upload.give_up()
        raise


def _in_turns(server: Server, upload: _Upload, content: Content) -> dict[str, Any] | None:
    offset, patience = 0, server.patience()
    is_begun = upload.begin()
    while is_begun:
        before = content.furthest
        try:
            return upload.send(offset, content)
        except (*_AGAIN, *_ANEW) as error:
            if server.stop.is_set():
                raise
            if content.furthest > before:
                patience.progressed()
            patience.wait(error)
            is_over = isinstance(error, _ANEW)
        if not is_over:
            offset_now = upload.offset(patience)
            is_over = offset_now is None
            if offset_now is not None and offset_now > offset:
                patience.progressed()
            offset = offset_now or 0
        if is_over:
            # The server has forgotten it, as one in memory does that was started anew; or it is of
            # an older release, beside a newer one that began it.
            is_begun, offset = upload.begin(), 0
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
        return int(response.headers["upload-offset"])

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
        with self._server.answer(
            "PATCH",
            self._url,
            headers=headers,
            content=content.pieces(offset),
            timeout=self._server.timeout(self._size / _HASHED_BYTES_S),
        ) as response:
            stored: dict[str, Any] = msgspec.json.decode(response.read())
        return stored
