"""Objects found by what is known about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from litestar import post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import Meta

from juststorage.domain import (
    CONTENT_TYPE_LENGTH_MAX,
    OBJECT_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    ContentHash,
    ObjectKey,
    Principal,
    Query,
    SortBy,
    StorageClass,
    TenantId,
)
from juststorage.errors import Invalid
from juststorage_api._access import Call, held_namespace, require, tenant_for
from juststorage_api._dto import ObjectPage, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._openapi.examples import CONTENT_HASH, NEXT_CURSOR, OBJECT
from juststorage_api._openapi.parameters import NAME_PATTERN
from juststorage_api._routes._body import json_body
from juststorage_api._routes._strict import (
    bounded_page,
    known_parameters,
    provide_caller,
    provide_exchange,
)
from juststorage_api._services import Services

__all__ = ["ObjectSearch", "search_routes"]

_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_PAGE: Final = Example(summary="A page", value={"objects": [OBJECT], "next_cursor": NEXT_CURSOR})

_PATHS_MAX: Final = 16
_TEXT_LENGTH_MAX: Final = 1024

_Bytes = Annotated[int, Meta(ge=0, le=OBJECT_BYTES_MAX)]
_Time = Annotated[datetime, Meta(tz=True, examples=["2026-11-25T00:00:00Z"])]
_Text = Annotated[str, Meta(max_length=_TEXT_LENGTH_MAX)]


class SizeRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes in bytes, both ends included."""

    min: _Bytes | None = None
    max: _Bytes | None = None


class TimeRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times, the first included and the last not."""

    since: _Time | None = msgspec.field(default=None, name="from")
    to: _Time | None = None


class ObjectSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which objects, and in which order. Every filter may be left out; all of them hold at once.

    Text is compared byte by byte: `%`, `_` and `*` mean themselves, capitals differ.
    """

    tenant_id: Annotated[
        str | None,
        Meta(
            description="May be left out by who holds one tenant only",
            extra_json_schema={"pattern": NAME_PATTERN},
        ),
    ] = None
    namespace: Annotated[
        str | None,
        Meta(
            description="null: every one that the caller holds",
            extra_json_schema={"pattern": NAME_PATTERN},
        ),
    ] = None
    key_prefix: Annotated[_Text | None, Meta(description="The key begins with this")] = None
    key_contains: Annotated[_Text | None, Meta(description="The key has this in it")] = None
    content_type: Annotated[
        Annotated[str, Meta(max_length=CONTENT_TYPE_LENGTH_MAX)] | None,
        Meta(description="Exactly this, or `type/*` for every subtype", examples=["image/*"]),
    ] = None
    storage_class: StorageClass | None = None
    content_hash: Annotated[
        str | None, Meta(description="Has these bytes", examples=[CONTENT_HASH])
    ] = None
    size_range: SizeRange | None = None
    created_at_range: TimeRange | None = None
    metadata: Annotated[
        Annotated[dict[str, str | int | float | bool | None], Meta(max_length=_PATHS_MAX)] | None,
        Meta(
            description="Dotted path: value. Equal in JSON type and value. A name with a dot in it"
            " cannot be addressed.",
            examples=[{"model.family": "bert"}],
        ),
    ] = None
    sort_by: SortBy = SortBy.CREATED_AT
    sort_direction: Annotated[
        Literal["asc", "desc"], Meta(description="Objects without a key come last in asc by key")
    ] = "desc"
    limit: Annotated[int, Meta(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT
    cursor: Annotated[
        str | None,
        Meta(description="`next_cursor` of the page before; all but `limit` as it was there"),
    ] = None


@post(
    "/v1/objects/search",
    guards=[known_parameters],
    dependencies=_CALLER,
    status_code=200,
    operation_id="searchObjects",
    summary="Search objects",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectPage, description="A page", examples=[_PAGE])},
)
async def search_objects(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> ObjectPage:
    """One page of a tenant's objects for which every filter holds.

    Order, `key_prefix`, `content_hash`, and the range over what the page is ordered by, are found
    through an index. `key_contains`, `content_type`, `metadata` and the other ranges are compared
    with each object that comes by: where few of very many match, the database's statement timeout
    ends the search with 503, and a narrower filter helps.
    """
    require(caller, Call.SEARCH)
    asked = await json_body(exchange, ObjectSearch)
    bounded_page(exchange, asked.limit)
    exchange.tenant_id = tenant = tenant_for(caller, Call.SEARCH, asked.tenant_id)
    listing = await services.cases.list.page(_query(caller, tenant, asked), cursor=asked.cursor)
    return ObjectPage(
        objects=[object_dto(stored) for stored in listing.objects],
        next_cursor=listing.next_cursor,
    )


def _query(caller: Principal, tenant_id: TenantId, asked: ObjectSearch) -> Query:
    sizes, times = asked.size_range or SizeRange(), asked.created_at_range or TimeRange()
    since, to = _in_utc(times.since), _in_utc(times.to)
    if sizes.min is not None and sizes.max is not None and sizes.min > sizes.max:
        raise Invalid("size_range: min is over max")
    if since is not None and to is not None and since > to:
        raise Invalid("created_at_range: from is after to")
    namespaces = caller.namespaces
    if asked.namespace is not None:
        namespaces = frozenset({held_namespace(caller, asked.namespace)})
    return Query(
        tenant_id=tenant_id,
        namespaces=namespaces,
        # Part of a key, hence of what a key may be.
        key_prefix=ObjectKey(asked.key_prefix) if asked.key_prefix else None,
        key_contains=ObjectKey(asked.key_contains) if asked.key_contains else None,
        content_type=asked.content_type or None,
        storage_class=asked.storage_class,
        content_hash=None if asked.content_hash is None else ContentHash(asked.content_hash),
        size_min=sizes.min,
        size_max=sizes.max,
        created_from=since,
        created_to=to,
        metadata=asked.metadata or {},
        sort_by=asked.sort_by,
        descending=asked.sort_direction == "desc",
        limit=asked.limit,
    )


def _in_utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    try:
        return time.astimezone(UTC)
    except OverflowError:
        # Its offset leads out of the years that there are: databases cannot hold it.
        raise Invalid("created_at_range: a time is out of range") from None


search_routes = [search_objects]
