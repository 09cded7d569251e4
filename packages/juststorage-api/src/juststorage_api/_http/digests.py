"""Digests that a client announces: RFC 9530 fields, and `X-Content-Hash`.

Of RFC 8941 only what these fields need: a dictionary is split and checked, the value of `sha-256`
is read, and whatever stands under other names must be well formed and is ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from juststorage.domain import ContentHash
from juststorage.errors import Invalid

__all__ = ["announced_digests", "repr_digest", "wants_sha256"]

_KEY: Final = rb"[a-z*][a-z0-9_.*-]*"
_BARE: Final = (
    rb"(?::[A-Za-z0-9+/=]*:"  # byte sequence
    rb'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'  # string
    rb"|-?\d{1,12}(?:\.\d{1,3})?"  # number
    rb"|\?[01]"  # boolean
    rb"|@-?\d{1,15}"  # date
    rb"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)"  # token
)
_PARAMETERS: Final = rb"(?:;[ ]*" + _KEY + rb"(?:=" + _BARE + rb")?)*"
_INNER_LIST: Final = rb"\([ ]*(?:" + _BARE + _PARAMETERS + rb"(?:[ ]+|(?=\))))*\)"
_MEMBER: Final = re.compile(
    rb"(" + _KEY + rb")(?:=(" + _BARE + rb"|" + _INNER_LIST + rb"))?" + _PARAMETERS
)
_WANTED: Final = re.compile(rb"(?:^|,)[ \t]*sha-256=(?:10|[1-9])[ \t]*(?:,|$)")
_SEPARATOR: Final = re.compile(rb"[ \t]*,[ \t]*")
_SHA256_BYTES: Final = 32
_FIELD_BYTES_MAX: Final = 4096


def announced_digests(fields: Mapping[bytes, bytes]) -> tuple[ContentHash, ...]:
    """The digests that the body must have.

    Raises:
        Invalid: A field is malformed.
    """
    found: list[ContentHash] = []
    if (header := fields.get(b"x-content-hash")) is not None:
        found.append(_content_hash(header))
    for name in (b"repr-digest", b"content-digest"):
        # No content coding is taken, so the content is the representation and both mean the same.
        if (header := fields.get(name)) is not None:
            digest = _sha256(name, header)
            if digest is not None:
                found.append(ContentHash.of("sha256", digest))
    return tuple(found)


def repr_digest(content_hash: ContentHash) -> bytes | None:
    """The `Repr-Digest` of content; None where RFC 9530 has no name for its algorithm."""
    if content_hash.algorithm != "sha256":
        return None
    return b"sha-256=:%b:" % binascii.b2a_base64(content_hash.digest, newline=False)


def wants_sha256(preferences: bytes | None) -> bool:
    """Whether `Want-Content-Digest` (RFC 9530, 4) asks for the digest that we have."""
    return preferences is not None and _WANTED.search(preferences) is not None


def _content_hash(header: bytes) -> ContentHash:
    text = header.decode("latin-1")
    if not text.startswith("sha256:"):
        raise Invalid("X-Content-Hash must be sha256:<64 lower-case hex digits>")
    try:
        return ContentHash(text)
    except Invalid:
        raise Invalid("X-Content-Hash must be sha256:<64 lower-case hex digits>") from None


def _sha256(name: bytes, header: bytes) -> bytes | None:
    value: bytes | None = None
    title = name.decode().title()
    if len(header) > _FIELD_BYTES_MAX:
        raise Invalid(f"{title} is over {_FIELD_BYTES_MAX} bytes")
    at, end = 0, len(header)
    while True:
        member = _MEMBER.match(header, at)
        if member is None:
            raise Invalid(f"{title} is not a dictionary such as sha-256=:<base64>:")
        if member[1] == b"sha-256":
            value = member[2] or b""  # of several, the last one counts (RFC 8941, 3.2)
        if member.end() == end:
            break
        separator = _SEPARATOR.match(header, member.end())
        if separator is None:
            raise Invalid(f"{title} is not a dictionary such as sha-256=:<base64>:")
        at = separator.end()
    return None if value is None else _byte_sequence(title, value)


def _byte_sequence(title: str, value: bytes) -> bytes:
    try:
        if not value.startswith(b":"):
            raise ValueError
        digest = base64.b64decode(value[1:-1], validate=True)
    except ValueError:
        raise Invalid(f"the sha-256 of {title} is not :<base64>:") from None
    if len(digest) != _SHA256_BYTES:
        raise Invalid(f"the sha-256 of {title} has {len(digest)} bytes instead of {_SHA256_BYTES}")
    return digest
