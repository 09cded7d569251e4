"""Namespace, tenant id and key: names that clients choose.

They are strings that have been checked: constructing one is the check, so a function that takes a
`Namespace` never looks again. None of them ever becomes part of a path on disk.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar, Final, Self

from juststorage.domain._limits import KEY_BYTES_MAX, NAME_LENGTH_MAX
from juststorage.errors import InvalidName

__all__ = ["Namespace", "NamespacePattern", "ObjectKey", "TenantId", "is_within", "within_all"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,%d}" % (NAME_LENGTH_MAX - 1))
_PATTERN: Final = re.compile(_NAME.pattern + r"\*?")
# C0, DEL and C1 control characters, and the two Unicode line separators that terminals and logs
# take for a new line.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class _Name(str):
    """A name of letters, digits, dot, underscore and hyphen that starts with a letter or digit."""

    __slots__ = ()
    _what: ClassVar[str] = "name"
    _form: ClassVar[re.Pattern[str]] = _NAME
    _end: ClassVar[str] = ""

    def __new__(cls, text: str) -> Self:
        if not cls._form.fullmatch(text):
            raise InvalidName(
                f"{cls._what} must be 1 to {NAME_LENGTH_MAX} of A-Z a-z 0-9 . _ - "
                f"and start with a letter or digit{cls._end}"
            )
        return super().__new__(cls, text)


class NamespacePattern(_Name):
    """What a credential is confined to: one namespace, or with a `*` at its end all that begin so.

    Raises:
        InvalidName: The text is not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}` with or without a `*`.
    """

    __slots__ = ()
    _what = "a namespace or prefix"
    _form = _PATTERN
    _end = "; a prefix ends with *"

    @property
    def prefix(self) -> str | None:
        """What the names that it stands for begin with; None where it stands for one name."""
        return self[:-1] if self.endswith("*") else None


class Namespace(NamespacePattern):
    """Groups a tenant's objects, as a bucket or a collection does elsewhere.

    Raises:
        InvalidName: The text is not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    """

    __slots__ = ()
    _what = "namespace"
    _form = _NAME
    _end = ""


def is_within(namespace: Namespace, allowed: Collection[NamespacePattern] | None) -> bool:
    """Whether the namespace is one of the allowed ones; None allows all."""
    if allowed is None or namespace in allowed:
        return True
    return any(each.endswith("*") and namespace.startswith(each[:-1]) for each in allowed)


def within_all(
    inner: Collection[NamespacePattern] | None, outer: Collection[NamespacePattern] | None
) -> bool:
    """Whether everything that `inner` allows is allowed by `outer`; None allows all."""
    if outer is None:
        return True
    if inner is None:
        return False
    prefixes = tuple(each[:-1] for each in outer if each.endswith("*"))
    # A prefix lies within another one when its text does; its star never makes a difference.
    return all(each in outer or each.removesuffix("*").startswith(prefixes) for each in inner)


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
