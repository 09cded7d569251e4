"""ObjectId: who an object is, for ever."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final, Self

from juststorage.errors import Invalid

__all__ = ["ObjectId"]

_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ObjectId(str):
    """A UUID in its canonical lower-case text, such as `0199...-7...-...`.

    A string rather than `uuid.UUID`, because it is parsed, compared and written on every request
    and never taken apart.

    Raises:
        Invalid: The text is not a UUID in hyphenated form. Upper case is accepted and lowered.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        lowered = text.lower()
        if not _CANONICAL.fullmatch(lowered):
            raise Invalid("object id must be a UUID such as 0190163d-8694-739b-aea5-966c26f8ad91")
        return super().__new__(cls, lowered)

    @classmethod
    def new(cls) -> Self:
        """A fresh UUID version 7 (RFC 9562, 5.7): 48 bits of milliseconds, then 74 random bits.

        Time in front keeps the newest rows together in every index, which is where the work is.
        Its order is a hint only: nothing may take an id for a time.
        """
        millis = time.time_ns() // 1_000_000
        tail = secrets.randbits(80)
        value = (millis & 0xFFFF_FFFF_FFFF) << 80 | tail
        value = value & ~(0xF << 76) | 0x7 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        digits = f"{value:032x}"
        return str.__new__(
            cls, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        )
