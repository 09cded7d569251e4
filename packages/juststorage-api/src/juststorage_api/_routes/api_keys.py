"""API keys as JSON: issued once, shown without their secret ever after."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from juststorage.domain import (
    API_KEY_NAME_LENGTH_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    ApiKey,
    NamespacePattern,
    ObjectId,
    Principal,
    Scope,
    TenantId,
)
from juststorage.errors import Invalid
from juststorage.ports import ApiKeyChange
from juststorage.usecases import NewApiKey
from juststorage_api._access import Call, require
from juststorage_api._exchange import Exchange
from juststorage_api._http.media import MERGE_PATCH
from juststorage_api._openapi.examples import API_KEY, API_KEY_SECRET, NEXT_CURSOR
from juststorage_api._routes._body import json_body
from juststorage_api._routes._strict import (
    bounded_page,
    known_parameters,
    provide_caller,
    provide_exchange,
)
from juststorage_api._services import Services

__all__ = [
    "ApiKeyAsked",
    "ApiKeyDto",
    "ApiKeyIssued",
    "ApiKeyPage",
    "ApiKeyPatch",
    "api_key_routes",
]

_ALL: Final = "*"
_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_NOT_NOTED: Final = frozenset({"created_at", "last_used_at"})
_DOCUMENT: Final = Example(summary="A key", value=API_KEY)
_ISSUED: Final = Example(summary="A new key", value=API_KEY | {"key": API_KEY_SECRET})
_PAGE: Final = Example(summary="A page", value={"api_keys": [API_KEY], "next_cursor": NEXT_CURSOR})

_Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=API_KEY_NAME_LENGTH_MAX,
        description="For people",
        examples=["ci of the ml team"],
    ),
]
_Expiry = Annotated[
    datetime,
    Meta(tz=True, description="Refused from then on", examples=["2027-11-25T00:00:00Z"]),
]
_Scopes = Annotated[
    list[Scope],
    Meta(min_length=1, description="What it may do", examples=[["objects:read"]]),
]


class ApiKeyDto(msgspec.Struct, frozen=True, kw_only=True):
    """A key: what it is called and what it may do; never the key itself."""

    id: Annotated[str, Meta(examples=[API_KEY["id"]])]
    name: _Name
    prefix: Annotated[
        str,
        Meta(description="How the key begins, to tell keys apart", examples=[API_KEY["prefix"]]),
    ]
    tenants: Annotated[
        list[str], Meta(description="It acts for these; `*` alone: for all", examples=[["acme"]])
    ]
    namespaces: Annotated[
        list[str] | None,
        Meta(
            description="It is confined to these, or to those that begin so (`team-*`);"
            " null: to none"
        ),
    ]
    scopes: _Scopes
    created_at: Annotated[datetime, Meta(examples=[API_KEY["created_at"]])]
    expires_at: _Expiry | None
    last_used_at: Annotated[
        datetime | None, Meta(description="Within a minute or so; null: never used")
    ]
    is_active: Annotated[bool, Meta(description="False once it is revoked")]


class ApiKeyIssued(ApiKeyDto, frozen=True, kw_only=True):
    """A key, this once with its secret."""

    key: Annotated[
        str,
        Meta(description="The key itself; nobody can find it out again", examples=[API_KEY_SECRET]),
    ]


class ApiKeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some keys, oldest first, and where to go on."""

    api_keys: list[ApiKeyDto]
    next_cursor: Annotated[
        str | None, Meta(description="Send it as `cursor` for the next page; null on the last one")
    ]


class ApiKeyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is to be; within what the caller holds."""

    name: _Name
    tenants: Annotated[
        list[str],
        Meta(
            min_length=1, description="It acts for these; `*` alone: for all", examples=[["acme"]]
        ),
    ]
    scopes: _Scopes
    namespaces: Annotated[
        list[str] | None,
        Meta(description="Confine it to these, or to those that begin so (`team-*`)"),
    ] = None
    expires_at: _Expiry | None = None


class ApiKeyPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; a merge patch (RFC 7396)."""

    name: _Name | UnsetType = UNSET
    scopes: _Scopes | UnsetType = UNSET
    expires_at: Annotated[
        _Expiry | None | UnsetType, Meta(description="null: it does not expire")
    ] = UNSET
    is_active: Annotated[
        bool | UnsetType, Meta(description="false revokes it, true takes that back")
    ] = UNSET


class _Patch(ApiKeyPatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With the fields that are known, and cannot change."""

    tenants: Any = UNSET
    namespaces: Any = UNSET


@post(
    "/v1/api-keys",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="createApiKey",
    summary="Create an API key",
    tags=["API keys"],
    responses={201: ResponseSpec(ApiKeyIssued, description="The key", examples=[_ISSUED])},
)
async def create_api_key(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> Response[ApiKeyIssued]:
    """Issue a key. The answer has the key itself, and is the only one that ever does.

    Nobody grants what they do not hold: another tenant or namespace is 403 `tenant_forbidden`,
    another scope 403 `scope_missing`. To rotate a key, create its successor and let the old one
    expire (PATCH `expires_at`) or revoke it: until then both are accepted.
    """
    require(caller, Call.CREATE_API_KEY)
    asked = await json_body(exchange, ApiKeyAsked)
    issued = await services.cases.keys.create(
        caller,
        NewApiKey(
            name=asked.name,
            tenants=_tenants(asked.tenants),
            scopes=frozenset(asked.scopes),
            namespaces=(
                None
                if asked.namespaces is None
                else frozenset(map(NamespacePattern, asked.namespaces))
            ),
            expires_at=asked.expires_at,
        ),
    )
    exchange.did("api_key.created", **_noted(issued.api_key))
    document = ApiKeyIssued(**_members(issued.api_key), key=issued.secret.text)
    location = f"/v1/api-keys/{issued.api_key.id}"
    return Response(document, headers={"location": location})


@get(
    "/v1/api-keys",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="listApiKeys",
    summary="List API keys",
    tags=["API keys"],
    responses={200: ResponseSpec(ApiKeyPage, description="A page", examples=[_PAGE])},
)
async def list_api_keys(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> Response[ApiKeyPage]:
    """Keys whose tenants, namespaces and scopes are within the caller's own, revoked ones too."""
    require(caller, Call.LIST_API_KEYS)
    bounded_page(exchange, limit)
    listing = await services.cases.keys.page(caller, limit=limit, cursor=cursor)
    page = ApiKeyPage(
        api_keys=[ApiKeyDto(**_members(each)) for each in listing.api_keys],
        next_cursor=listing.next_cursor,
    )
    return Response(page)


@get(
    "/v1/api-keys/{id:str}",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="getApiKey",
    summary="Describe an API key",
    tags=["API keys"],
    responses={200: ResponseSpec(ApiKeyDto, description="The key", examples=[_DOCUMENT])},
)
async def get_api_key(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    id: FromPath[str],  # noqa: A002  named as in the path
) -> Response[ApiKeyDto]:
    """What is known about a key; one that reaches further than the caller's own is 404."""
    require(caller, Call.READ_API_KEY)
    found = await services.cases.keys.find(caller, ObjectId(id))
    return Response(ApiKeyDto(**_members(found)))


@patch(
    "/v1/api-keys/{id:str}",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="changeApiKey",
    summary="Change an API key",
    tags=["API keys"],
    responses={200: ResponseSpec(ApiKeyDto, description="The key", examples=[_DOCUMENT])},
)
async def change_api_key(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    id: FromPath[str],  # noqa: A002  named as in the path
) -> Response[ApiKeyDto]:
    """Change name, scopes, expiry, or whether it is active. Effective everywhere within 5 s.

    Tenants and namespaces cannot change. A key can neither revoke nor weaken itself, and the last
    active key with the scope admin stays: 409.
    """
    require(caller, Call.CHANGE_API_KEY)
    key_id = ObjectId(id)
    asked = await json_body(exchange, _Patch, media_type=MERGE_PATCH)
    for name in ("tenants", "namespaces"):
        if getattr(asked, name) is not UNSET:
            raise Invalid(f"{name} cannot change: create another key")
    change = ApiKeyChange(
        name=asked.name,
        scopes=UNSET if asked.scopes is UNSET else frozenset(asked.scopes),
        expires_at=asked.expires_at,
        is_active=asked.is_active,
    )
    changed = await services.cases.keys.change(caller, key_id, change)
    exchange.did("api_key.changed", **_noted(changed))
    return Response(ApiKeyDto(**_members(changed)))


@delete(
    "/v1/api-keys/{id:str}",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="revokeApiKey",
    summary="Revoke an API key",
    tags=["API keys"],
)
async def revoke_api_key(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
    id: FromPath[str],  # noqa: A002  named as in the path
) -> None:
    """Revoke a key: every worker refuses it within 5 s.

    Its document stays readable, with `is_active` false.
    """
    require(caller, Call.REVOKE_API_KEY)
    revoked = await services.cases.keys.revoke(caller, ObjectId(id))
    exchange.did("api_key.revoked", **_noted(revoked))


def _tenants(asked: list[str]) -> frozenset[TenantId] | None:
    if _ALL in asked:
        if len(asked) > 1:
            raise Invalid("tenants: * stands alone")
        return None
    return frozenset(map(TenantId, asked))


def _noted(api_key: ApiKey) -> dict[str, Any]:
    """What the audit log tells about a key: all of what it may do."""
    members = {name: value for name, value in _members(api_key).items() if name not in _NOT_NOTED}
    return {"key_id": members.pop("id"), **members}


def _members(api_key: ApiKey) -> dict[str, Any]:
    tenants, namespaces = api_key.tenants, api_key.namespaces
    return {
        "id": str(api_key.id),
        "name": api_key.name,
        "prefix": api_key.prefix,
        "tenants": [_ALL] if tenants is None else sorted(map(str, tenants)),
        "namespaces": None if namespaces is None else sorted(map(str, namespaces)),
        "scopes": sorted(api_key.scopes),
        "created_at": api_key.created_at,
        "expires_at": api_key.expires_at,
        "last_used_at": api_key.last_used_at,
        "is_active": api_key.is_active,
    }


api_key_routes = [create_api_key, list_api_keys, get_api_key, change_api_key, revoke_api_key]
