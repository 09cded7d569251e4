"""The kill switch: read-only mode, while the service runs."""

from __future__ import annotations

import logging
from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import Meta

from juststorage.domain import Principal
from juststorage_api._access import Call, require
from juststorage_api._exchange import Exchange
from juststorage_api._routes._body import json_body
from juststorage_api._routes._strict import known_parameters, provide_caller, provide_exchange
from juststorage_api._services import Services

__all__ = ["ReadOnlyAsked", "read_only_routes"]

_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_EVERYWHERE: Final = Example(summary="Switched on", value={"read_only": True, "everywhere": True})
_SWITCHED: Final = Example(summary="Switched off", value={"read_only": False})

_log: Final = logging.getLogger("juststorage.api")


class ReadOnlyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it is to be."""

    read_only: Annotated[bool, Meta(description="Whether changes of objects are refused")]


class ReadOnlySwitched(msgspec.Struct, frozen=True, kw_only=True):
    """How it is now, and for whom."""

    read_only: Annotated[bool, Meta(description="Whether changes of objects are refused")]
    everywhere: Annotated[
        bool,
        Meta(
            description="Whether the metadata store keeps it, so that every instance and collector"
            " follows within 5 s, and those that start later do; false: only this instance"
        ),
    ]


class ReadOnlyMode(msgspec.Struct, frozen=True, kw_only=True):
    """How it is."""

    read_only: Annotated[bool, Meta(description="Whether changes of objects are refused")]


@get(
    "/v1/admin/read-only",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="getReadOnly",
    summary="Tell whether the service is read-only",
    tags=["Administration"],
    responses={200: ResponseSpec(ReadOnlyMode, description="How it is", examples=[_SWITCHED])},
)
async def read_only(
    *, services: NamedDependency[Services], caller: NamedDependency[Principal]
) -> ReadOnlyMode:
    """Whether this instance refuses changes of objects."""
    require(caller, Call.READ_SWITCH)
    return ReadOnlyMode(read_only=services.runtime.read_only)


@post(
    "/v1/admin/read-only",
    guards=[known_parameters],
    dependencies=_CALLER,
    status_code=200,
    operation_id="setReadOnly",
    summary="Switch read-only mode",
    tags=["Administration"],
    responses={
        200: ResponseSpec(ReadOnlySwitched, description="How it is", examples=[_EVERYWHERE])
    },
)
async def switch_read_only(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> ReadOnlySwitched:
    """Have changes of objects refused, or taken again, by everybody: one call to any instance.

    This instance follows at once, whatever its backends do; every other instance, and every
    collector, within 5 s by way of the metadata store, which keeps the switch until it is turned
    again. Where `everywhere` is false, that did not happen: repeat the call. Uploads under way
    finish, a collection ends with the batch in hand. Reading, API keys and this switch work as
    ever. An instance with `server.read_only` starts so, however the switch stands.
    """
    require(caller, Call.SWITCH)
    asked = await json_body(exchange, ReadOnlyAsked)
    was = services.runtime.read_only
    everywhere = await services.runtime.switch_read_only(on=asked.read_only)
    if was != asked.read_only:
        _log.warning(
            "read-only mode is %s",
            "on" if asked.read_only else "off",
            extra={"subject": caller.subject},
        )
    exchange.did("service.read_only", read_only=asked.read_only)
    return ReadOnlySwitched(read_only=asked.read_only, everywhere=everywhere)


read_only_routes = [read_only, switch_read_only]
