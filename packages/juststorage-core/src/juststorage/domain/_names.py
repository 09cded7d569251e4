"""Namespace, tenant id and key: names that clients choose.

They are strings that have been checked: constructing one is the check, so a function that takes a
`Namespace` never looks again. None of them ever becomes part of a path on disk.
"""

from __future__ import annotations

import re
from typing import Final, Self

from juststorage.domain._limits import KEY_BYTES_MAX, NAME_LENGTH_MAX
from juststorage.errors import InvalidName

__all__ = ["Namespace", "ObjectKey", "TenantId"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,%d}" % (NAME_LENGTH_MAX - 1))
# C0, DEL and C1 control characters, and the two Unicode line separators that terminals and logs
# take for a new line.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class _Name(str):
    """A name of letters, digits, dot, underscore and hyphen that starts with a letter or digit."""

    __slots__ = ()
    _what = "name"

    def __new__(cls, text: str) -> Self:
        if not _NAME.fullmatch(text):
            raise InvalidName(
                f"{cls._what} must be 1 to {NAME_LENGTH_MAX} of A-Z a-z 0-9 . _ - "
                "and start with a letter or digit"
            )
        return super().__new__(cls, text)


class Namespace(_Name):
    """Groups a tenant's objects, as a bucket or a collection does elsewhere.

    Raises:
        InvalidName: The text is not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    """

    __slots__ = ()
    _what = "namespace"


class TenantId(_Name):
    """Whose objects these are; nothing of one tenant is ever visible to another.

    Raises:
        InvalidName: The text is not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    """

    __slots__ = ()
    _what = "tenant_id"


class ObjectKey(str):
    """A client's own name for an object, unique per (namespace, tenant) among live objects.

    Any Unicode text of 1 to 1024 UTF-8 bytes without control characters. Compared byte for byte:
    no normalization, no meaning in slashes or dots.

    Raises:
        InvalidName: The text is empty, too long, not encodable, or has a control character.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        try:
            size = len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            raise InvalidName("key is not valid Unicode text") from None
        if not 1 <= size <= KEY_BYTES_MAX:
            raise InvalidName(f"key must be 1 to {KEY_BYTES_MAX} bytes of UTF-8, not {size}")
        if _CONTROL.search(text):
            raise InvalidName("key must not have control characters")
        return super().__new__(cls, text)
