"""ObjectMetadata: what a client says about an object, as JSON."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import msgspec

from juststorage.domain._limits import METADATA_BYTES_MAX, METADATA_DEPTH_MAX
from juststorage.errors import InvalidMetadata

__all__ = ["ObjectMetadata"]

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


class ObjectMetadata(msgspec.Struct, frozen=True, gc=False):
    """A JSON object, kept as compact JSON text.

    Text, because most metadata only passes through: from a header into a column, from a column into
    a response. `value` decodes it for the few who look inside.

    Args:
        encoded: Compact JSON of an object that `parse` or `of` has accepted. Not checked here, so
            that a store can build it from a trusted column at no cost.
    """

    encoded: bytes = b"{}"

    EMPTY: ClassVar[ObjectMetadata]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Check and compact a client's JSON.

        Raises:
            InvalidMetadata: Not JSON, not an object, too deep, over 16 KiB, or with a NUL
                character or a number that is not finite (neither survives in PostgreSQL's jsonb).
        """
        if len(text) > METADATA_BYTES_MAX:
            raise InvalidMetadata(f"metadata is over {METADATA_BYTES_MAX} bytes")
        try:
            value = _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise InvalidMetadata("metadata is not valid JSON") from None
        return cls.of(value)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Build from a decoded JSON value; the same rules as `parse`."""
        if not isinstance(value, dict):
            raise InvalidMetadata("metadata must be a JSON object")
        _check(value, depth=1)
        encoded = _encoder.encode(value)
        if len(encoded) > METADATA_BYTES_MAX:
            raise InvalidMetadata(f"metadata is over {METADATA_BYTES_MAX} bytes")
        return cls(encoded)

    @property
    def value(self) -> dict[str, Any]:
        """The decoded object; a fresh one at every call, so a caller may change it."""
        decoded: dict[str, Any] = _decoder.decode(self.encoded)
        return decoded


ObjectMetadata.EMPTY = ObjectMetadata()


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value or not _is_unicode(value):
            raise InvalidMetadata("metadata must not have NUL characters or lone surrogates")
    elif isinstance(value, float):
        if value in (float("inf"), float("-inf")) or value != value:
            raise InvalidMetadata("metadata has a number that is not finite")
    elif isinstance(value, dict | list):
        if depth > METADATA_DEPTH_MAX:
            raise InvalidMetadata(f"metadata is nested deeper than {METADATA_DEPTH_MAX} levels")
        if isinstance(value, dict):
            for name in value:
                _check(name, depth + 1)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
