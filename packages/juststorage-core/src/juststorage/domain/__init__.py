"""The words of the system: entities, value objects, rules. No I/O, no framework."""

from juststorage.domain._access import Principal, Scope
from juststorage.domain._api_key import ApiKey, ApiKeySecret
from juststorage.domain._blob import Blob, BlobKey
from juststorage.domain._content_hash import ContentHash
from juststorage.domain._idempotency import IdempotencyKey
from juststorage.domain._limits import (
    API_KEY_NAME_LENGTH_MAX,
    BULK_IDS_MAX,
    CONTENT_TYPE_LENGTH_MAX,
    KEY_BYTES_MAX,
    METADATA_BYTES_MAX,
    METADATA_DEPTH_MAX,
    NAME_LENGTH_MAX,
    OBJECT_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
)
from juststorage.domain._metadata import ObjectMetadata
from juststorage.domain._names import (
    Namespace,
    NamespacePattern,
    ObjectKey,
    TenantId,
    is_within,
    within_all,
)
from juststorage.domain._object import DEFAULT_CONTENT_TYPE, Locator, NewObject, StoredObject
from juststorage.domain._object_id import ObjectId
from juststorage.domain._queries import (
    UNCHANGED,
    UNCONDITIONAL,
    Change,
    Conditions,
    Page,
    Position,
    Query,
    SortBy,
)
from juststorage.domain._states import ObjectStatus, StorageClass

__all__ = [
    "API_KEY_NAME_LENGTH_MAX",
    "BULK_IDS_MAX",
    "CONTENT_TYPE_LENGTH_MAX",
    "DEFAULT_CONTENT_TYPE",
    "KEY_BYTES_MAX",
    "METADATA_BYTES_MAX",
    "METADATA_DEPTH_MAX",
    "NAME_LENGTH_MAX",
    "OBJECT_BYTES_MAX",
    "PAGE_SIZE_DEFAULT",
    "PAGE_SIZE_MAX",
    "UNCHANGED",
    "UNCONDITIONAL",
    "ApiKey",
    "ApiKeySecret",
    "Blob",
    "BlobKey",
    "Change",
    "Conditions",
    "ContentHash",
    "IdempotencyKey",
    "Locator",
    "Namespace",
    "NamespacePattern",
    "NewObject",
    "ObjectId",
    "ObjectKey",
    "ObjectMetadata",
    "ObjectStatus",
    "Page",
    "Position",
    "Principal",
    "Query",
    "Scope",
    "SortBy",
    "StorageClass",
    "StoredObject",
    "TenantId",
    "is_within",
    "within_all",
]
