"""StoredObject: the logical entry that clients see, and its state machine."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from juststorage.domain._content_hash import ContentHash
from juststorage.domain._metadata import ObjectMetadata
from juststorage.domain._names import Namespace, ObjectKey, TenantId
from juststorage.domain._object_id import ObjectId
from juststorage.domain._states import ObjectStatus, StorageClass
from juststorage.errors import InvalidTransition

__all__ = ["DEFAULT_CONTENT_TYPE", "Locator", "NewObject", "StoredObject"]

DEFAULT_CONTENT_TYPE = "application/octet-stream"

Locator: TypeAlias = str
"""Where a blob store put a blob: opaque text that only that store reads."""


class NewObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client asks for before any byte of content has been seen."""

    id: ObjectId
    namespace: Namespace
    tenant_id: TenantId
    key: ObjectKey | None = None
    storage_class: StorageClass = StorageClass.HOT
    content_type: str = DEFAULT_CONTENT_TYPE
    metadata: ObjectMetadata = ObjectMetadata.EMPTY


class StoredObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An object at one instant. Frozen: a state change makes a new value through a method.

    `content_hash` and `size_bytes` are None until the content is known, and stay on the tombstone.
    `locator` says where the blob store keeps the bytes; None unless COMMITTED. Times are aware, in
    UTC, from the metadata store's clock.
    """

    id: ObjectId
    namespace: Namespace
    tenant_id: TenantId
    key: ObjectKey | None
    status: ObjectStatus
    storage_class: StorageClass
    content_hash: ContentHash | None
    size_bytes: int | None
    content_type: str
    metadata: ObjectMetadata
    created_at: datetime
    updated_at: datetime
    locator: Locator | None = None

    @classmethod
    def begin(cls, new: NewObject, now: datetime) -> StoredObject:
        """The object as its upload begins: WRITING, without content."""
        return cls(
            id=new.id,
            namespace=new.namespace,
            tenant_id=new.tenant_id,
            key=new.key,
            status=ObjectStatus.WRITING,
            storage_class=new.storage_class,
            content_hash=None,
            size_bytes=None,
            content_type=new.content_type,
            metadata=new.metadata,
            created_at=now,
            updated_at=now,
        )

    def with_content(self, content_hash: ContentHash, size_bytes: int) -> StoredObject:
        """The WRITING object once its content is known and its reference reserved."""
        self.status.to(ObjectStatus.COMMITTED)
        return msgspec.structs.replace(self, content_hash=content_hash, size_bytes=size_bytes)

    def commit(self, locator: Locator, now: datetime) -> StoredObject:
        """WRITING -> COMMITTED.

        Raises:
            InvalidTransition: The object is not WRITING.
        """
        assert self.content_hash is not None and self.size_bytes is not None
        return msgspec.structs.replace(
            self, status=self.status.to(ObjectStatus.COMMITTED), locator=locator, updated_at=now
        )

    def abandon(self, now: datetime) -> StoredObject:
        """WRITING -> DELETED: the upload failed or lost its lease.

        Raises:
            InvalidTransition: The object is not WRITING.
        """
        # DELETING -> DELETED is a legal move too, but it is the collector's, not an upload's.
        self._must_be(ObjectStatus.WRITING)
        return msgspec.structs.replace(
            self, status=self.status.to(ObjectStatus.DELETED), updated_at=now
        )

    def delete(self, now: datetime) -> StoredObject:
        """COMMITTED -> DELETING: no longer visible, its reference released.

        Raises:
            InvalidTransition: The object is not COMMITTED.
        """
        return msgspec.structs.replace(
            self, status=self.status.to(ObjectStatus.DELETING), locator=None, updated_at=now
        )

    def bury(self, now: datetime) -> StoredObject:
        """DELETING -> DELETED: a tombstone.

        Raises:
            InvalidTransition: The object is not DELETING.
        """
        self._must_be(ObjectStatus.DELETING)
        return msgspec.structs.replace(
            self, status=self.status.to(ObjectStatus.DELETED), updated_at=now
        )

    def _must_be(self, status: ObjectStatus) -> None:
        if self.status is not status:
            raise InvalidTransition(f"the object is {self.status}, not {status}")
