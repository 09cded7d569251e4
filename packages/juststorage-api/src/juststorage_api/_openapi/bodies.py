"""Request bodies that are JSON: read by our own code, hence described by it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Reference, RequestBody

from juststorage_api._http.media import JSON, MERGE_PATCH
from juststorage_api._openapi.examples import OBJECT_ID
from juststorage_api._routes.admin import CollectionAsked
from juststorage_api._routes.api_keys import ApiKeyAsked, ApiKeyPatch
from juststorage_api._routes.changes import ObjectCopy, ObjectPatch, ObjectsToDelete
from juststorage_api._routes.read_only import ReadOnlyAsked
from juststorage_api._routes.search import ObjectSearch

__all__ = ["body_schemas", "request_bodies"]

_SCHEMAS: Final = "#/components/schemas/{name}"
_BODIES: Final[dict[str, tuple[str, type[msgspec.Struct], dict[str, Any]]]] = {
    # operation: media type, shape, example
    "createApiKey": (
        JSON,
        ApiKeyAsked,
        {
            "name": "ci of the ml team",
            "tenants": ["acme"],
            "namespaces": ["team-*"],
            "scopes": ["objects:read", "objects:write"],
            "expires_at": "2027-11-25T00:00:00Z",
        },
    ),
    "changeObject": (
        MERGE_PATCH,
        ObjectPatch,
        {"metadata": {"owner": "search-team", "draft": None}, "storage_class": "cold"},
    ),
    "copyObject": (JSON, ObjectCopy, {"namespace": "archive", "key": "bert/2026/weights.bin"}),
    "deleteObjects": (JSON, ObjectsToDelete, {"tenant_id": "acme", "ids": [OBJECT_ID]}),
    "searchObjects": (
        JSON,
        ObjectSearch,
        {
            "tenant_id": "acme",
            "key_prefix": "bert/",
            "size_range": {"min": 1},
            "metadata": {"owner": "ml-team"},
            "sort_by": "size_bytes",
        },
    ),
    "collectGarbage": (JSON, CollectionAsked, {"dry_run": True, "grace_seconds": 0}),
    "setReadOnly": (JSON, ReadOnlyAsked, {"read_only": False}),
    "changeApiKey": (MERGE_PATCH, ApiKeyPatch, {"expires_at": None, "is_active": True}),
}
_OPTIONAL: Final = frozenset({"collectGarbage", "copyObject"})


def request_bodies() -> dict[str, RequestBody]:
    """The body of each operation that has one."""
    return {
        operation: RequestBody(
            required=operation not in _OPTIONAL,
            content={
                media_type: OpenAPIMediaType(
                    schema=Reference(ref=_SCHEMAS.format(name=kind.__name__)), example=example
                )
            },
        )
        for operation, (media_type, kind, example) in _BODIES.items()
    }


def body_schemas() -> dict[str, Any]:
    """Their schemas, as JSON values, by name."""
    kinds = [kind for _, kind, _ in _BODIES.values()]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_SCHEMAS)
    return schemas
