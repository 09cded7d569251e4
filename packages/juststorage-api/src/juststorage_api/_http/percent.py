"""Percent-decoding (RFC 3986, 2.1), once and strictly."""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

__all__ = ["decode"]

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


def decode(raw: bytes, *, plus: bool = False) -> str:
    """The text that `raw` stands for.

    Args:
        raw: As on the wire.
        plus: Take `+` for a space, as forms do.

    Raises:
        ValueError: An escape is not two hex digits, or the bytes are not UTF-8. The message is
            fit for a client.
    """
    if plus and b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        first, *escaped = raw.split(b"%")
        parts = [first]
        for part in escaped:
            digits = part[:2]
            if len(digits) < 2 or not _HEX.issuperset(digits):
                raise ValueError("a percent sign is not followed by two hex digits")
            parts.append(unhexlify(digits))
            parts.append(part[2:])
        raw = b"".join(parts)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
