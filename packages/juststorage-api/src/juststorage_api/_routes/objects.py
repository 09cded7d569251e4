"""Objects as JSON: one, and many."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import Provide
from litestar.params import Parameter

from juststorage.domain import (
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    ObjectId,
    Principal,
    Query,
    SortBy,
)
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._dto import ObjectDto, ObjectPage, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._routes._strict import known_parameters, provide_caller, provide_exchange
from juststorage_api._services import Services

__all__ = ["object_routes"]

_CALLER = {
    "caller": Provide(provide_caller, sync_to_thread=False),
    "exchange": Provide(provide_exchange, sync_to_thread=False),
}


@get(
    "/v1/objects",
    guards=[known_parameters],
    dependencies=_CALLER,
    opt={"query": ("namespace", "tenant_id", "prefix", "limit", "cursor")},
)
async def list_objects(
    *,
    services: Services,
    caller: Principal,
    exchange: Exchange,
    namespace: str | None = None,
    tenant_id: str | None = None,
    prefix: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT,
    cursor: str | None = None,
) -> ObjectPage:
    """A page of a tenant's objects."""
    exchange.tenant_id = tenant = tenant_for(caller, Call.LIST, tenant_id)
    if namespace is None:
        namespaces = caller.namespaces
    else:
        namespaces = frozenset({held_namespace(caller, namespace)})
    query = Query(
        tenant_id=tenant,
        namespaces=namespaces,
        key_prefix=prefix or None,
        sort_by=SortBy.KEY if prefix else SortBy.CREATED_AT,
        descending=not prefix,
        limit=limit,
    )
    listing = await services.list.page(query, cursor=cursor)
    return ObjectPage(
        objects=[object_dto(stored) for stored in listing.objects],
        next_cursor=listing.next_cursor,
    )


@get(
    "/v1/objects/{object_id:str}/metadata",
    guards=[known_parameters],
    dependencies=_CALLER,
    opt={"query": ("tenant_id",)},
)
async def object_metadata(
    services: Services,
    caller: Principal,
    exchange: Exchange,
    object_id: str,
    tenant_id: str | None = None,
) -> ObjectDto:
    """What is known about an object, without its bytes."""
    exchange.tenant_id = tenant = tenant_for(caller, Call.READ_METADATA, tenant_id)
    stored = await services.find.by_id(tenant, ObjectId(object_id), namespaces=caller.namespaces)
    return object_dto(stored)


object_routes = [list_objects, object_metadata]
