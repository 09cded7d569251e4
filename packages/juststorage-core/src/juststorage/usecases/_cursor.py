"""Cursor: where a page ended, as text that a client carries and cannot change."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from juststorage.domain import Position, Query, SortBy
from juststorage.errors import InvalidCursor

__all__ = ["CursorCodec"]

_TAG_BYTES: Final = 16
_LENGTH_MAX: Final = 8192
# The domain's names are subclasses of str, which msgspec leaves to its caller.
_encoder: Final = msgspec.json.Encoder(enc_hook=str, order="deterministic")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TIMES: Final = frozenset({SortBy.CREATED_AT, SortBy.UPDATED_AT})


class CursorCodec:
    """Writes and reads cursors, signed with a secret that all processes of a store share.

    The signature covers the query (without its limit and position), so a cursor works only for the
    query, and therefore the tenant, that it came from.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def encode(self, position: Position, query: Query) -> str:
        """The cursor for `position` in `query`."""
        value: object = position.value
        if isinstance(value, datetime):
            value = (value - _EPOCH) // _MICROSECOND
        payload = _encoder.encode([value, position.id])
        return base64.urlsafe_b64encode(self._tag(payload, query) + payload).decode().rstrip("=")

    def decode(self, text: str, query: Query) -> Position:
        """The position that a cursor stands for.

        Raises:
            InvalidCursor: It was not made by `encode` for this query.
        """
        if len(text) > _LENGTH_MAX:
            raise InvalidCursor("the cursor is not valid for this query")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise InvalidCursor("the cursor is not valid for this query") from None
        tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(payload, query)):
            raise InvalidCursor("the cursor is not valid for this query")
        value, object_id = msgspec.json.decode(payload, type=tuple[int | str | None, str])
        if query.sort_by in _TIMES and isinstance(value, int):
            return Position(_EPOCH + value * _MICROSECOND, object_id)
        return Position(value, object_id)

    def _tag(self, payload: bytes, query: Query) -> bytes:
        bare = msgspec.structs.replace(query, limit=0, after=None)
        bound = _encoder.encode(bare)
        mac = hmac.new(self._secret, digestmod=hashlib.sha256)
        # Lengths first: no two pairs of texts may give the same stream.
        mac.update(len(bound).to_bytes(8, "big") + bound + payload)
        return mac.digest()[:_TAG_BYTES]
