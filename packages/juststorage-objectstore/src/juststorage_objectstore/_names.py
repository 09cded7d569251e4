"""Names of objects. A locator is one that was never used before, and never will be again.

    {class}/blobs/{two digits}/{upload id}.{16 digits}

The digits are random: they make a generation of every placing, also of two by one upload. The two
in front spread the load, because upload ids ascend with time and stores divide their work by name.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from juststorage.domain import Locator, ObjectId, StorageClass

__all__ = [
    "blobs_prefix",
    "entry_of",
    "is_locator",
    "new_locator",
    "probe_name",
    "split_entry",
    "upload_of",
]

_CLASSES: Final = "|".join(StorageClass)
_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LOCATOR: Final = re.compile(
    rf"(?:{_CLASSES})/blobs/(?P<two>[0-9a-f]{{2}})/(?P<id>{_ID})\.(?P=two)[0-9a-f]{{14}}"
)
_SEPARATOR: Final = "?"


def new_locator(storage_class: StorageClass, upload_id: ObjectId) -> Locator:
    """A name that nothing has ever had."""
    digits = secrets.token_hex(8)
    return f"{blobs_prefix(storage_class)}/{digits[:2]}/{upload_id}.{digits}"


def is_locator(text: str) -> bool:
    """Whether this store makes such names."""
    return _LOCATOR.fullmatch(text) is not None


def upload_of(locator: Locator) -> ObjectId | None:
    """The upload that a locator was made for; None for what is no locator."""
    match = _LOCATOR.fullmatch(locator)
    return None if match is None else ObjectId(match["id"])


def blobs_prefix(storage_class: StorageClass) -> str:
    """Below this are the blobs of a class, and nothing else: two classes may share a bucket."""
    return f"{storage_class.value}/blobs"


def probe_name(storage_class: StorageClass) -> str:
    """The object that pings write and read."""
    return f"{storage_class.value}/probe"


def entry_of(locator: Locator, multipart: str) -> str:
    """What `staged` calls a multipart upload."""
    return f"{locator}{_SEPARATOR}{multipart}"


def split_entry(entry: str) -> tuple[Locator, str] | None:
    """The locator and the multipart upload of an entry ("" for bytes in memory), or None."""
    locator, _, multipart = entry.partition(_SEPARATOR)
    return (locator, multipart) if is_locator(locator) else None
