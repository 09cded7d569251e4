"""Names on the volume: pure functions between hashes, locators and the names of entries.

    {aa}/{bb}/{hex}                  a blob named by SHA-256; aa and bb begin the hex
    {algorithm}/{aa}/{bb}/{hex}      a blob named by another hash
    .class                           the storage class that the root belongs to
    .ballast                         blocks that are given up where there are no others
    .staging/{upload}.{random}       bytes on their way in
    .staging/{upload}.0000000{n}     those of an upload that can be resumed, how many they are, and
                                     a second name for them on its way to the final one
    .trash/{bucket}/{time_ns}.{algorithm}.{hex}.{random}
                                     removed at that time, and still recoverable

Trash lies in buckets of ten minutes, so that asking for what is old enough never walks over what is
not. Nothing that a client can choose is part of a name, and what comes from a database is checked
against these forms before it becomes a path.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Final, NamedTuple

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Invalid

__all__ = [
    "BALLAST",
    "CLASS",
    "STAGING",
    "TRASH",
    "ResumableNames",
    "bucket_end",
    "bucket_of",
    "bucket_of_entry",
    "hash_of",
    "is_bucket",
    "is_locator",
    "is_shard",
    "locator_of",
    "may_hold_blobs",
    "parse_staged",
    "parse_trashed",
    "resumable_names",
    "staged_name",
    "trashed_name",
]

BALLAST: Final = ".ballast"
CLASS: Final = ".class"
STAGING: Final = ".staging"
TRASH: Final = ".trash"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BUCKET: Final = timedelta(minutes=10)
_BUCKET_FORM: Final = "%Y%m%dT%H%M"
_PLAIN: Final = "sha256"

_HEX2: Final = re.compile(r"[0-9a-f]{2}")
_SHA256_LOCATOR: Final = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})")
_OTHER_LOCATOR: Final = re.compile(
    r"([a-z][a-z0-9_]{0,31})/([0-9a-f]{2})/([0-9a-f]{2})/(\2\3(?:[0-9a-f]{2}){14,62})"
)
_ON_THE_WAY: Final = re.compile(
    r"[0-9a-f]{2}(?:/[0-9a-f]{2})?|[a-z][a-z0-9_]{0,31}(?:/[0-9a-f]{2}){0,2}"
)
_STAGED: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[0-9a-f]{8}")
_TRASHED: Final = re.compile(
    r"([0-9]{20})\.([a-z][a-z0-9_]{0,31})\.((?:[0-9a-f]{2}){16,64})\.[0-9a-f]{8}"
)
_BUCKET_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{4}")


def locator_of(content_hash: ContentHash) -> Locator:
    """Where the blob of this hash lives."""
    algorithm, _, digits = content_hash.partition(":")
    if algorithm == _PLAIN:
        return f"{digits[:2]}/{digits[2:4]}/{digits}"
    return f"{algorithm}/{digits[:2]}/{digits[2:4]}/{digits}"


def hash_of(locator: str) -> ContentHash | None:
    """The hash that a locator names, or None for text that is no locator."""
    match = _SHA256_LOCATOR.fullmatch(locator)
    if match is not None:
        return ContentHash(f"{_PLAIN}:{match[3]}")
    match = _OTHER_LOCATOR.fullmatch(locator)
    if match is None or match[1] == _PLAIN:
        return None
    try:
        return ContentHash(f"{match[1]}:{match[4]}")
    except Invalid:  # a known algorithm with a digest of another length
        return None


def is_locator(text: str) -> bool:
    """Whether the text is a locator, at the price of one match for those that are read most."""
    return _SHA256_LOCATOR.fullmatch(text) is not None or hash_of(text) is not None


def is_shard(name: str) -> bool:
    """Whether a directory may hold blobs."""
    return _HEX2.fullmatch(name) is not None


def may_hold_blobs(path: str) -> bool:
    """Whether a directory is on the way to a blob: `aa`, `aa/bb`, or below an algorithm."""
    return _ON_THE_WAY.fullmatch(path) is not None


def staged_name(upload_id: ObjectId) -> str:
    """A fresh entry for the upload; two attempts of one upload never share one."""
    return f"{STAGING}/{upload_id}.{token_hex(4)}"


class ResumableNames(NamedTuple):
    """The entries of an upload that can be resumed."""

    data: str
    marks: str
    placing: str
    """The bytes once more, for a moment, before that name becomes the final one."""


def resumable_names(upload_id: ObjectId) -> ResumableNames:
    """The entries of an upload that can be resumed, always the same.

    They have the form of all staged entries, so that a sweeper of any release knows whose they are.
    """
    return ResumableNames(*(f"{STAGING}/{upload_id}.{number:08}" for number in range(3)))


def parse_staged(entry: str) -> ObjectId | None:
    """The upload of an entry (without its folder), or None for a foreign name."""
    match = _STAGED.fullmatch(entry)
    return None if match is None else ObjectId(match[1])


def trashed_name(content_hash: ContentHash, now: datetime) -> str:
    """A fresh entry, `{bucket}/{name}`, for a blob that is removed now."""
    algorithm, _, digits = content_hash.partition(":")
    return f"{bucket_of(now)}/{_nanoseconds(now):020d}.{algorithm}.{digits}.{token_hex(4)}"


def parse_trashed(name: str) -> tuple[datetime, ContentHash] | None:
    """When an entry (without its bucket) was removed, and its hash; None for a foreign name."""
    match = _TRASHED.fullmatch(name)
    if match is None:
        return None
    try:
        content_hash = ContentHash(f"{match[2]}:{match[3]}")
        return _EPOCH + timedelta(microseconds=int(match[1]) // 1000), content_hash
    except Invalid:
        return None


def bucket_of(now: datetime) -> str:
    """The bucket of things removed now."""
    now = now.astimezone(UTC)
    return now.replace(minute=now.minute - now.minute % 10).strftime(_BUCKET_FORM)


def bucket_of_entry(entry: str) -> str | None:
    """The bucket of `{bucket}/{name}`, or None where the text is no such entry."""
    bucket, _, name = entry.partition("/")
    return bucket if is_bucket(bucket) and _TRASHED.fullmatch(name) else None


def bucket_end(bucket: str) -> datetime:
    """The first moment that is not in the bucket any more."""
    return datetime.strptime(bucket, _BUCKET_FORM).replace(tzinfo=UTC) + _BUCKET


def is_bucket(name: str) -> bool:
    """Whether a name in the trash is one of our buckets."""
    if _BUCKET_NAME.fullmatch(name) is None:
        return False
    try:
        datetime.strptime(name, _BUCKET_FORM).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _nanoseconds(now: datetime) -> int:
    return (now - _EPOCH) // timedelta(microseconds=1) * 1000
