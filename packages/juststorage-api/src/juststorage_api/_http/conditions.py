"""Preconditions: RFC 9110, 13. Entity tags are content hashes in quotes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from juststorage.domain import UNCONDITIONAL, Conditions, ContentHash
from juststorage.errors import Invalid
from juststorage_api._http.dates import parse_date

__all__ = ["Outcome", "judge_read", "range_applies", "write_conditions"]

_TAG: Final = re.compile(rb'[ \t]*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*(?:,|\Z)')
_TAGS_MAX: Final = 256

_NEVER: Final = ContentHash.of("never", bytes(16))
"""No content has this hash: what a condition becomes that no content can meet."""


class Outcome(Enum):
    """What a read with preconditions comes to."""

    GO = "go"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


class _Tag(NamedTuple):
    text: bytes
    is_weak: bool


def judge_read(fields: Mapping[bytes, bytes], etag: bytes, modified_s: int) -> Outcome:
    """Judge the preconditions of a GET or HEAD, in the order of RFC 9110, 13.2.2.

    Args:
        fields: The request's header fields.
        etag: The current one, quotes included.
        modified_s: Last-Modified, in seconds since 1970.

    Raises:
        Invalid: A list of entity tags is malformed.
    """
    if_match = fields.get(b"if-match")
    if if_match is not None:
        if not _matches(b"If-Match", if_match, etag, weak=False):
            return Outcome.FAILED
    elif (text := fields.get(b"if-unmodified-since")) is not None:
        limit = parse_date(text)
        if limit is not None and modified_s > limit:
            return Outcome.FAILED
    if_none_match = fields.get(b"if-none-match")
    if if_none_match is not None:
        if _matches(b"If-None-Match", if_none_match, etag, weak=True):
            return Outcome.NOT_MODIFIED
    elif (text := fields.get(b"if-modified-since")) is not None:
        limit = parse_date(text)
        if limit is not None and modified_s <= limit:
            return Outcome.NOT_MODIFIED
    return Outcome.GO


def range_applies(if_range: bytes | None, etag: bytes, modified_s: int, now_s: float) -> bool:
    """Whether a Range header counts (RFC 9110, 13.1.5); what is malformed never matches.

    A date is a strong validator only once it is a second old: before that, the object could be
    replaced within the same second.
    """
    if if_range is None:
        return True
    if if_range.startswith((b'"', b"W/")):
        return if_range == etag
    return parse_date(if_range) == modified_s and now_s - modified_s >= 1


def write_conditions(fields: Mapping[bytes, bytes]) -> Conditions:
    """The preconditions of a PUT, POST or DELETE, for the committing transaction to judge.

    Raises:
        Invalid: A list of entity tags is malformed, or `If-Unmodified-Since` is there. Its times
            are too coarse to compare and swap with, and to ignore it could lose an update.
    """
    if b"if-unmodified-since" in fields:
        raise Invalid("If-Unmodified-Since is for reads; use If-Match")
    if_match = fields.get(b"if-match")
    if_none_match = fields.get(b"if-none-match")
    if if_match is None and if_none_match is None:
        return UNCONDITIONAL
    return Conditions(
        if_match=None if if_match is None else _hashes(b"If-Match", if_match, weak=False),
        if_none_match=(
            None if if_none_match is None else _hashes(b"If-None-Match", if_none_match, weak=True)
        ),
    )


def _matches(name: bytes, header: bytes, etag: bytes, *, weak: bool) -> bool:
    if header == etag or header.strip(b" \t") == b"*":
        return True
    return any(tag.text == etag and (weak or not tag.is_weak) for tag in _entity_tags(name, header))


def _hashes(name: bytes, header: bytes, *, weak: bool) -> frozenset[ContentHash]:
    """The content hashes in a list of tags; empty for `*`."""
    if header.strip(b" \t") == b"*":
        return frozenset()
    hashes = set()
    for tag in _entity_tags(name, header):
        if weak or not tag.is_weak:
            try:
                hashes.add(ContentHash(tag.text[1:-1].decode("latin-1")))
            except Invalid:
                continue  # well formed, and no tag of ours: matches nothing
    return frozenset(hashes) or frozenset({_NEVER})


def _entity_tags(name: bytes, header: bytes) -> list[_Tag]:
    tags: list[_Tag] = []
    at = 0
    while at < len(header):
        match = _TAG.match(header, at)
        if match is None or len(tags) >= _TAGS_MAX:
            raise Invalid(f"{name.decode()} must be * or a list of entity tags in double quotes")
        if match[2] is not None:
            tags.append(_Tag(match[2], match[1] is not None))
        at = match.end()
    if not tags:
        raise Invalid(f"{name.decode()} is empty")
    return tags
