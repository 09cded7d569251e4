"""What a caller may ask a metadata store for: pages, filters, conditions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from juststorage.domain._content_hash import ContentHash
from juststorage.domain._limits import PAGE_SIZE_DEFAULT
from juststorage.domain._metadata import ObjectMetadata
from juststorage.domain._names import NamespacePattern, ObjectKey, TenantId
from juststorage.domain._object import StoredObject
from juststorage.domain._states import StorageClass

__all__ = [
    "UNCHANGED",
    "UNCONDITIONAL",
    "Change",
    "Conditions",
    "Page",
    "Position",
    "Query",
    "SortBy",
]


class SortBy(StrEnum):
    """The columns that a page may be ordered by; the id breaks ties."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    SIZE_BYTES = "size_bytes"
    KEY = "key"


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a page ended: the sort value and id of its last object (keyset pagination).

    `value` is None for an object without a key when sorting by key. Times are aware datetimes.
    """

    value: datetime | int | str | None
    id: str


class Query(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Committed objects of one tenant, filtered, ordered, one page at a time.

    Every filter is optional and all of them hold at once. Text filters are literal: percent,
    underscore and backslash mean themselves, and bytes are compared, not letters. Objects without a
    key sort after all others when ascending by key.

    Args:
        namespaces: Only these, or those with these prefixes (`team-*`); None means all.
        content_type: Exact, or `type/*` for every subtype.
        size_min, size_max: Bytes, inclusive.
        created_from: Inclusive.
        created_to: Exclusive.
        metadata: Dotted path -> scalar; equal in JSON type and value.
        after: Start behind this position, as the previous page's `next`.
    """

    tenant_id: TenantId
    namespaces: frozenset[NamespacePattern] | None = None
    key_prefix: str | None = None
    key_contains: str | None = None
    content_type: str | None = None
    storage_class: StorageClass | None = None
    content_hash: ContentHash | None = None
    size_min: int | None = None
    size_max: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    metadata: dict[str, str | int | float | bool | None] = {}
    sort_by: SortBy = SortBy.CREATED_AT
    descending: bool = True
    limit: int = PAGE_SIZE_DEFAULT
    after: Position | None = None


class Page(msgspec.Struct, frozen=True, gc=False):
    """Some objects in order, and where to go on; `next` is None on the last page."""

    objects: list[StoredObject]
    next: Position | None


class Conditions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What must hold in the committing transaction, as RFC 9110 preconditions.

    Args:
        if_match: The current content hash must be one of these; empty for `*` (anything exists);
            None for no condition.
        if_none_match: The current content hash must be none of these; empty for `*` (nothing may
            exist); None for no condition.
    """

    if_match: frozenset[ContentHash] | None = None
    if_none_match: frozenset[ContentHash] | None = None

    def hold_for(self, current: ContentHash | None) -> bool:
        """Whether they hold where `current` is what exists now (None: nothing)."""
        if self.if_match is not None and (
            current is None or (self.if_match and current not in self.if_match)
        ):
            return False
        return self.if_none_match is None or (
            current is None or (bool(self.if_none_match) and current not in self.if_none_match)
        )


UNCONDITIONAL = Conditions()


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Changes to an object that leave its content alone; UNSET means unchanged."""

    key: ObjectKey | None | msgspec.UnsetType = msgspec.UNSET
    content_type: str | msgspec.UnsetType = msgspec.UNSET
    merge_metadata: dict[str, Any] | None | msgspec.UnsetType = msgspec.UNSET
    """A JSON merge patch (RFC 7396) over the metadata; None resets it to `{}`."""

    def merged(self, metadata: ObjectMetadata) -> ObjectMetadata:
        """The metadata after the patch.

        Raises:
            InvalidMetadata: The result breaks a rule of `ObjectMetadata`.
        """
        if self.merge_metadata is msgspec.UNSET:
            return metadata
        if self.merge_metadata is None:
            return ObjectMetadata.EMPTY
        return ObjectMetadata.of(_merge(metadata.value, self.merge_metadata))


UNCHANGED = Change()


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
