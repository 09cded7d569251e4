"""From rows to values. What is in the database was checked on its way in, and is not again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from juststorage.domain import (
    ApiKey,
    Blob,
    BlobKey,
    ContentHash,
    Locator,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectMetadata,
    ObjectStatus,
    Scope,
    StorageClass,
    StoredObject,
    TenantId,
)

__all__ = [
    "OBJECT_COLUMNS",
    "KeyName",
    "ObjectRow",
    "api_key_of",
    "blob_of",
    "object_of",
    "object_row_of",
]

KeyName: TypeAlias = "tuple[TenantId, Namespace, ObjectKey]"

_STATUS: Final = {str(each): each for each in ObjectStatus}
_CLASS: Final = {str(each): each for each in StorageClass}

# The value types check what they are made from; trusted text goes around that.
_text: Final = str.__new__


@dataclass(slots=True)
class ObjectRow:
    """An object and what only the database knows of it, locked or new in a transaction.

    `held` is the blob that it counts on; `has_key` says whether it is its key's holder.
    """

    object: StoredObject
    epoch: int
    lease_expires_at: datetime | None
    held: BlobKey | None = None
    claims_key: bool = False

    @property
    def has_key(self) -> bool:
        """Whether it holds its key: the predicate `HELD` of the unique index."""
        status = self.object.status
        return self.object.key is not None and (
            status is ObjectStatus.COMMITTED or (status is ObjectStatus.WRITING and self.claims_key)
        )

    def is_live(self, epoch: int) -> bool:
        """Whether it is an upload whose lease has this epoch."""
        return self.object.status is ObjectStatus.WRITING and self.epoch == epoch

    @property
    def key_name(self) -> KeyName | None:
        """The key with its tenant and namespace; None for an object without."""
        key = self.object.key
        return None if key is None else (self.object.tenant_id, self.object.namespace, key)


OBJECT_COLUMNS: Final = 12
"""So many columns of `objects`, the first ones, are the object; the rest are its bookkeeping."""


def object_of(row: Any, locator: Locator | None = None) -> StoredObject:
    """The object in a row that begins with the columns of `objects`."""
    # By position: a page has a hundred rows, and twelve look-ups by name cost a quarter of this.
    (
        object_id,
        namespace,
        tenant_id,
        key,
        status,
        storage_class,
        content_hash,
        size_bytes,
        content_type,
        metadata,
        created_at,
        updated_at,
    ) = row[:OBJECT_COLUMNS]
    return StoredObject(
        id=_text(ObjectId, object_id),
        namespace=_text(Namespace, namespace),
        tenant_id=_text(TenantId, tenant_id),
        key=None if key is None else _text(ObjectKey, key),
        status=_STATUS[status],
        storage_class=_CLASS[storage_class],
        content_hash=None if content_hash is None else _text(ContentHash, content_hash),
        size_bytes=size_bytes,
        content_type=content_type,
        metadata=ObjectMetadata(metadata.encode()),
        created_at=created_at,
        updated_at=updated_at,
        locator=locator,
    )


def object_row_of(row: Any) -> ObjectRow:
    """The object in a row, with the rest of it."""
    stored = object_of(row)
    blob_hash = row["blob_hash"]
    held = (
        None if blob_hash is None else BlobKey(_text(ContentHash, blob_hash), stored.storage_class)
    )
    return ObjectRow(stored, row["lease_epoch"], row["lease_expires_at"], held, row["claims_key"])


def blob_of(row: Any) -> Blob:
    """The blob in a row that has all columns of `blobs`."""
    return Blob(
        key=BlobKey(_text(ContentHash, row["content_hash"]), _CLASS[row["storage_class"]]),
        size_bytes=row["size_bytes"],
        ref_count=row["ref_count"],
        locator=row["locator"],
        stored_at=row["stored_at"],
        zero_since=row["zero_since"],
        claimed_until=row["claimed_until"],
        first_seen_at=row["first_seen_at"],
        last_used_at=row["last_used_at"],
    )


def api_key_of(row: Any) -> ApiKey:
    """The API key in a row."""
    tenants, namespaces = row["tenants"], row["namespaces"]
    return ApiKey(
        id=row["id"],
        name=row["name"],
        prefix=row["prefix"],
        hashed=row["hashed"],
        tenants=None if tenants is None else frozenset(map(TenantId, tenants)),
        scopes=frozenset(map(Scope, row["scopes"])),
        namespaces=None if namespaces is None else frozenset(map(NamespacePattern, namespaces)),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        is_active=row["is_active"],
    )
