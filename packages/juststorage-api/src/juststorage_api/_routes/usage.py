"""How much a tenant stores."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromQuery
from msgspec import UNSET, Meta, UnsetType

from juststorage.domain import Principal, StorageClass
from juststorage.ports import UsagePart
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._exchange import Exchange
from juststorage_api._openapi.examples import USAGE
from juststorage_api._routes._strict import known_parameters, provide_caller, provide_exchange
from juststorage_api._services import Services

__all__ = ["UsageDto", "UsagePartDto", "usage_routes"]

_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_USAGE: Final = Example(summary="Two copies of one content", value=USAGE)

_Count = Annotated[int, Meta(ge=0)]
_Logical = Annotated[int, Meta(ge=0, description="The sizes of the objects, each in full")]
_Physical = Annotated[
    _Count | UnsetType,
    Meta(description="Each content once in each class; left out with `physical=false`"),
]


class UsagePartDto(msgspec.Struct, frozen=True, kw_only=True):
    """One namespace in one storage class."""

    namespace: Annotated[str, Meta(examples=["models"])]
    storage_class: StorageClass
    objects: _Count
    logical_bytes: _Logical
    physical_bytes: _Physical = UNSET


class UsageDto(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant stores, as if it were alone in the store."""

    tenant_id: Annotated[str, Meta(examples=["acme"])]
    namespace: Annotated[
        str | None, Meta(description="The one that was asked for; null: all that the caller holds")
    ]
    objects: _Count
    logical_bytes: _Logical
    physical_bytes: _Physical = UNSET
    by: list[UsagePartDto]


@get(
    "/v1/usage",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="getUsage",
    summary="Measure usage",
    tags=["Usage"],
    responses={200: ResponseSpec(UsageDto, description="The usage", examples=[_USAGE])},
)
async def get_usage(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    tenant_id: FromQuery[str | None] = None,
    namespace: FromQuery[str | None] = None,
    physical: FromQuery[bool] = True,
) -> UsageDto:
    """Objects and bytes of a tenant, by namespace and storage class. Exact, not sampled.

    Objects and logical bytes cost the same however many objects there are. Physical bytes are added
    up over them: what holds many millions is asked with `physical=false`.
    """
    exchange.tenant_id = tenant = tenant_for(caller, Call.USAGE, tenant_id)
    namespaces = caller.namespaces
    if namespace is not None:
        namespaces = frozenset({held_namespace(caller, namespace)})
    usage = await services.cases.usage.of(tenant, namespaces=namespaces, physical=physical)
    return UsageDto(
        tenant_id=str(tenant),
        namespace=namespace,
        objects=usage.objects,
        logical_bytes=usage.logical_bytes,
        physical_bytes=_or_unset(usage.physical_bytes),
        by=[UsagePartDto(**_members(part)) for part in usage.parts],
    )


def _members(part: UsagePart) -> dict[str, Any]:
    return {
        "namespace": str(part.namespace),
        "storage_class": part.storage_class,
        "objects": part.objects,
        "logical_bytes": part.logical_bytes,
        "physical_bytes": _or_unset(part.physical_bytes),
    }


def _or_unset(count: int | None) -> int | UnsetType:
    return UNSET if count is None else count


usage_routes = [get_usage]
