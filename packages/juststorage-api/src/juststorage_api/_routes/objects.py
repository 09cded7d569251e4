"""Objects as JSON: one, and many."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery, QueryParameter

from juststorage.domain import (
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    ObjectId,
    ObjectKey,
    Principal,
    Query,
    SortBy,
)
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._dto import ObjectDto, ObjectPage, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._openapi.examples import NEXT_CURSOR, OBJECT
from juststorage_api._routes._strict import (
    bounded_page,
    known_parameters,
    provide_caller,
    provide_exchange,
)
from juststorage_api._services import Services

__all__ = ["object_routes"]

_OBJECT: Final = Example(summary="An object", value=OBJECT)
_PAGE: Final = Example(summary="A page", value={"objects": [OBJECT], "next_cursor": NEXT_CURSOR})

_CALLER: Final = {
    "caller": Provide(provide_caller),
    "exchange": Provide(provide_exchange),
}


@get(
    "/v1/objects",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="listObjects",
    summary="List objects",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectPage, description="A page", examples=[_PAGE])},
)
async def list_objects(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    namespace: FromQuery[str | None] = None,
    tenant_id: FromQuery[str | None] = None,
    prefix: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> ObjectPage:
    """One page of a tenant's objects, newest first, or by key where a `prefix` is given.

    Every object that is there during the whole walk is seen exactly once, whatever others write
    meanwhile, and a page costs the same at any depth.
    """
    exchange.tenant_id = tenant = tenant_for(caller, Call.LIST, tenant_id)
    bounded_page(exchange, limit)
    if namespace is None:
        namespaces = caller.namespaces
    else:
        namespaces = frozenset({held_namespace(caller, namespace)})
    if prefix:
        prefix = ObjectKey(prefix)
    query = Query(
        tenant_id=tenant,
        namespaces=namespaces,
        key_prefix=prefix or None,
        sort_by=SortBy.KEY if prefix else SortBy.CREATED_AT,
        descending=not prefix,
        limit=limit,
    )
    listing = await services.cases.list.page(query, cursor=cursor)
    return ObjectPage(
        objects=[object_dto(stored) for stored in listing.objects],
        next_cursor=listing.next_cursor,
    )


@get(
    "/v1/objects/{id:str}/metadata",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="getObjectMetadata",
    summary="Describe an object",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectDto, description="The object", examples=[_OBJECT])},
)
async def object_metadata(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    id: FromPath[str],  # noqa: A002  named as in the path
    tenant_id: FromQuery[str | None] = None,
) -> ObjectDto:
    """What is known about an object, without its bytes."""
    exchange.tenant_id = tenant = tenant_for(caller, Call.READ_METADATA, tenant_id)
    stored = await services.cases.find.by_id(tenant, ObjectId(id), namespaces=caller.namespaces)
    return object_dto(stored)


object_routes = [list_objects, object_metadata]
