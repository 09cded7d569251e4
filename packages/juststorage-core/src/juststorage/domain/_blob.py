"""Blob: the bytes that objects refer to, counted."""

from __future__ import annotations

from datetime import datetime

import msgspec

from juststorage.domain._content_hash import ContentHash
from juststorage.domain._object import Locator
from juststorage.domain._states import StorageClass

__all__ = ["Blob", "BlobKey"]


class BlobKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """A blob's identity: the same bytes may live once in each storage class.

    Ordered by (content_hash, storage_class): the order in which rows are locked, always (R08).
    """

    content_hash: ContentHash
    storage_class: StorageClass


class Blob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A blob's row at one instant.

    `stored_at` is None until an upload has confirmed the bytes durable at `locator`, and again once
    a collector has claimed the blob: who reserves it then places a copy of its own. `zero_since` is
    when `ref_count` last became 0; None while it is above.
    """

    key: BlobKey
    size_bytes: int
    ref_count: int
    locator: Locator | None
    stored_at: datetime | None
    zero_since: datetime | None
    claimed_until: datetime | None
    first_seen_at: datetime
    last_used_at: datetime | None
