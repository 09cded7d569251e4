"""Values for tests, with everything filled in that a test does not care about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from juststorage.domain import (
    DEFAULT_CONTENT_TYPE,
    UNCONDITIONAL,
    ApiKey,
    ApiKeySecret,
    Conditions,
    ContentHash,
    Locator,
    Namespace,
    NamespacePattern,
    NewObject,
    ObjectId,
    ObjectKey,
    ObjectMetadata,
    Scope,
    StorageClass,
    TenantId,
)
from juststorage.ports import Committed, Content, MetadataStore, Reservation, UploadIntent

__all__ = [
    "LEASE_S",
    "NAMESPACE",
    "TENANT",
    "locator_of",
    "make_api_key",
    "make_content",
    "make_intent",
    "make_new_object",
    "store_object",
]

TENANT = TenantId("acme")
NAMESPACE = Namespace("models")
LEASE_S = 3600.0


def make_content(data: bytes | str) -> Content:
    """The content that these bytes are, by SHA-256."""
    raw = data.encode() if isinstance(data, str) else data
    return Content(ContentHash.of("sha256", hashlib.sha256(raw).digest()), len(raw))


def make_new_object(
    key: str | None = None,
    *,
    tenant_id: str = TENANT,
    namespace: str = NAMESPACE,
    storage_class: StorageClass = StorageClass.HOT,
    content_type: str = DEFAULT_CONTENT_TYPE,
    metadata: dict[str, Any] | None = None,
) -> NewObject:
    """An object to be, with a fresh id."""
    return NewObject(
        id=ObjectId.new(),
        namespace=Namespace(namespace),
        tenant_id=TenantId(tenant_id),
        key=None if key is None else ObjectKey(key),
        storage_class=storage_class,
        content_type=content_type,
        metadata=ObjectMetadata.of(metadata or {}),
    )


def make_intent(
    key: str | None = None,
    *,
    replace: bool = False,
    conditions: Conditions = UNCONDITIONAL,
    tenant_id: str = TENANT,
    namespace: str = NAMESPACE,
    storage_class: StorageClass = StorageClass.HOT,
    content_type: str = DEFAULT_CONTENT_TYPE,
    metadata: dict[str, Any] | None = None,
) -> UploadIntent:
    """An intent to upload a fresh object; POST unless `replace`, PUT then."""
    new = make_new_object(
        key,
        tenant_id=tenant_id,
        namespace=namespace,
        storage_class=storage_class,
        content_type=content_type,
        metadata=metadata,
    )
    return UploadIntent(new=new, replace=replace, conditions=conditions)


def locator_of(content: Content) -> Locator:
    """A locator as a store with fixed names would give it."""
    return f"placed/{content.content_hash}"


async def store_object(
    store: MetadataStore,
    intent: UploadIntent | None = None,
    content: Content | None = None,
    *,
    locator: Locator | None = None,
    lease_s: float = LEASE_S,
) -> Committed:
    """Take an upload through every step, as if its bytes had been placed in between."""
    intent = intent or make_intent()
    content = content or make_content(intent.new.id)
    begun = await store.objects.begin_reserved(intent, content, lease_s=lease_s)
    if isinstance(begun, Reservation):
        return await store.objects.commit(begun.lease, locator or locator_of(content))
    return begun


def make_api_key(
    name: str = "service",
    *,
    scopes: Iterable[Scope] = (Scope.OBJECTS_READ,),
    tenants: Iterable[str] | None = (TENANT,),
    namespaces: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    is_active: bool = True,
    secret: ApiKeySecret | None = None,
) -> ApiKey:
    """A key's row, with a fresh id and, unless one is given, a fresh secret."""
    secret = secret or ApiKeySecret.new()
    return ApiKey(
        id=str(ObjectId.new()),
        name=name,
        prefix=secret.prefix,
        hashed=secret.hashed,
        tenants=None if tenants is None else frozenset(map(TenantId, tenants)),
        scopes=frozenset(scopes),
        namespaces=None if namespaces is None else frozenset(map(NamespacePattern, namespaces)),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at=expires_at,
        last_used_at=None,
        is_active=is_active,
    )
