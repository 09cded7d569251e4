"""Objects changed as JSON: described anew, moved, copied, deleted by the hundred."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, patch, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Meta, UnsetType

from juststorage.domain import (
    BULK_IDS_MAX,
    DEFAULT_CONTENT_TYPE,
    KEY_BYTES_MAX,
    Change,
    ObjectId,
    ObjectKey,
    Principal,
    StorageClass,
)
from juststorage.errors import Invalid
from juststorage.usecases import CopyTarget
from juststorage_api._access import Call, held_namespace, require, tenant_for
from juststorage_api._dto import ObjectDto, location_of, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._http.conditions import write_conditions
from juststorage_api._http.headers import media_type
from juststorage_api._http.idempotency import copy_request, idempotency_key
from juststorage_api._http.media import MERGE_PATCH
from juststorage_api._openapi.examples import OBJECT, OBJECT_ID
from juststorage_api._openapi.parameters import KEY_PATTERN, NAME_PATTERN
from juststorage_api._routes._body import json_body
from juststorage_api._routes._strict import known_parameters, provide_caller, provide_exchange
from juststorage_api._services import Services

__all__ = ["ObjectCopy", "ObjectPatch", "ObjectsDeleted", "ObjectsToDelete", "change_routes"]

_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_OBJECT: Final = Example(summary="The object", value=OBJECT)
_DELETED: Final = Example(summary="One of one", value={"deleted": [OBJECT_ID], "missing": []})

_KEY: Final = {"pattern": KEY_PATTERN, "minLength": 1, "maxLength": KEY_BYTES_MAX}


class ObjectPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; a merge patch (RFC 7396)."""

    metadata: Annotated[
        dict[str, Any] | None | UnsetType,
        Meta(
            description="Merged into the metadata: null removes a member, or all of them",
            examples=[{"owner": "search-team"}],
        ),
    ] = UNSET
    content_type: Annotated[
        str | None | UnsetType, Meta(description="null: `application/octet-stream`")
    ] = UNSET
    key: Annotated[
        str | None | UnsetType, Meta(description="null: it has no key", extra_json_schema=_KEY)
    ] = UNSET
    storage_class: Annotated[
        StorageClass | UnsetType, Meta(description="Moves the bytes, verified on the way")
    ] = UNSET


class ObjectCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a copy is to be; what is left out is as the source has it, but for the key."""

    namespace: Annotated[
        str | None,
        Meta(description="null: the source's", extra_json_schema={"pattern": NAME_PATTERN}),
    ] = None
    key: Annotated[
        str | None,
        Meta(description="null: it has no key", extra_json_schema=_KEY),
    ] = None
    storage_class: Annotated[StorageClass | None, Meta(description="null: the source's")] = None


class ObjectsToDelete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which objects are to go."""

    ids: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"format": "uuid"})]],
        Meta(max_length=BULK_IDS_MAX, description="An id twice counts once"),
    ]
    tenant_id: Annotated[
        str | None,
        Meta(
            description="May be left out by who holds one tenant only",
            extra_json_schema={"pattern": NAME_PATTERN},
        ),
    ] = None


class ObjectsDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects went, and which were not there, in the order in which they were asked for."""

    deleted: list[str]
    missing: list[str]


@patch(
    "/v1/objects/{id:str}",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="changeObject",
    summary="Change an object",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectDto, description="As it is now", examples=[_OBJECT])},
)
async def change_object(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    id: FromPath[str],  # noqa: A002  named as in the path
    tenant_id: FromQuery[str | None] = None,
) -> Response[ObjectDto]:
    """Change metadata, content type, key or storage class, all at once or not at all.

    The content stays, and with it the entity tag. A new `storage_class` copies the bytes there and
    verifies them before anything changes: the answer takes as long as that does, and where it fails
    the object is as it was. `If-Match` is judged in the committing transaction.
    """
    exchange.tenant_id = tenant = tenant_for(caller, Call.CHANGE, tenant_id)
    object_id = ObjectId(id)
    conditions = write_conditions(exchange.fields)
    asked = await json_body(exchange, ObjectPatch, media_type=MERGE_PATCH)
    if asked.storage_class is not UNSET:
        exchange.may_take_long()
    changed = await services.cases.change.by_id(
        tenant,
        object_id,
        Change(
            key=ObjectKey(asked.key) if isinstance(asked.key, str) else asked.key,
            content_type=_content_type(asked.content_type),
            merge_metadata=asked.metadata,
        ),
        storage_class=None if asked.storage_class is UNSET else asked.storage_class,
        conditions=conditions,
        namespaces=caller.namespaces,
    )
    exchange.did(
        "object.changed",
        object_id=str(changed.id),
        namespace=str(changed.namespace),
        changed=[
            name for name in ObjectPatch.__struct_fields__ if getattr(asked, name) is not UNSET
        ],
    )
    return Response(object_dto(changed), headers={"etag": f'"{changed.content_hash}"'})


def _content_type(asked: str | None | UnsetType) -> str | UnsetType:
    if asked is None:
        return DEFAULT_CONTENT_TYPE
    return asked if asked is UNSET else media_type(asked)


@post(
    "/v1/objects/{id:str}/copy",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="copyObject",
    summary="Copy an object",
    tags=["Objects"],
    responses={201: ResponseSpec(ObjectDto, description="The copy", examples=[_OBJECT])},
)
async def copy_object(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    id: FromPath[str],  # noqa: A002  named as in the path
    tenant_id: FromQuery[str | None] = None,
) -> Response[ObjectDto]:
    """Make a new object on the same bytes: within a storage class none of them moves.

    Content type and metadata come along; a key does not, unless one is given. The body may be left
    out.
    """
    require(caller, Call.COPY_FROM)
    exchange.tenant_id = tenant = tenant_for(caller, Call.COPY_TO, tenant_id)
    object_id = ObjectId(id)
    if b"if-match" in exchange.fields:
        raise Invalid("If-Match is for PUT, PATCH and DELETE: a copy never replaces")
    conditions = write_conditions(exchange.fields)
    asked = ObjectCopy()
    if exchange.has_unread_body:
        asked = await json_body(exchange, ObjectCopy)
    if asked.storage_class is not None:
        exchange.may_take_long()
    target = CopyTarget(
        namespace=None if asked.namespace is None else held_namespace(caller, asked.namespace),
        key=None if asked.key is None else ObjectKey(asked.key),
        storage_class=asked.storage_class,
    )
    committed = await services.cases.copy.by_id(
        tenant,
        object_id,
        target,
        conditions=conditions,
        namespaces=caller.namespaces,
        idempotency=idempotency_key(
            exchange.fields,
            copy_request(tenant, object_id, asked),
            services.uploads.idempotency_ttl_s,
        ),
    )
    copied = committed.object
    if not committed.is_repeated:
        exchange.did(
            "object.created",
            object_id=str(copied.id),
            namespace=str(copied.namespace),
            content_hash=str(copied.content_hash),
            copied_from=str(object_id),
        )
    return Response(
        object_dto(copied),
        headers={"location": location_of(caller, copied), "etag": f'"{copied.content_hash}"'},
    )


@post(
    "/v1/objects/delete",
    guards=[known_parameters],
    dependencies=_CALLER,
    status_code=200,
    operation_id="deleteObjects",
    summary="Delete many objects",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectsDeleted, description="What went", examples=[_DELETED])},
)
async def delete_objects(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> ObjectsDeleted:
    """Delete up to 1000 objects in one transaction. Those that are not there are no error."""
    require(caller, Call.DELETE)
    asked = await json_body(exchange, ObjectsToDelete)
    if len(asked.ids) > exchange.bounds.bulk_ids:
        raise Invalid(f"ids: at most {exchange.bounds.bulk_ids} at once")
    exchange.tenant_id = tenant = tenant_for(caller, Call.DELETE, asked.tenant_id)
    ids = [ObjectId(each) for each in asked.ids]
    result = await services.cases.delete.many(tenant, ids, namespaces=caller.namespaces)
    deleted = [str(each) for each in result.deleted]
    if deleted:
        exchange.did("object.deleted", object_ids=deleted)
    return ObjectsDeleted(
        deleted=deleted,
        missing=[str(each) for each in result.missing],
    )


change_routes = [change_object, copy_object, delete_objects]
