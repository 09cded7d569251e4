"""One object as JSON."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery

from juststorage.domain import (
    ObjectId,
    Principal,
)
from juststorage_api._access import Call, tenant_for
from juststorage_api._dto import ObjectDto, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._openapi.examples import OBJECT
from juststorage_api._routes._strict import (
    known_parameters,
    provide_caller,
    provide_exchange,
)
from juststorage_api._services import Services

__all__ = ["object_routes"]

_OBJECT: Final = Example(summary="An object", value=OBJECT)

_CALLER: Final = {
    "caller": Provide(provide_caller),
    "exchange": Provide(provide_exchange),
}


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


object_routes = [object_metadata]
