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
_SWITCHED: Final = Example(summary="Switched off", value={"read_only": False})

_log: Final = logging.getLogger("juststorage.api")


class ReadOnlyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it is to be."""

    read_only: Annotated[bool, Meta(description="Whether changes of objects are refused")]


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
    responses={200: ResponseSpec(ReadOnlyMode, description="How it is", examples=[_SWITCHED])},
)
async def switch_read_only(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> ReadOnlyMode:
    """Have all workers of this instance refuse changes of objects, or take them again; at once.

    Uploads under way finish. Reading, API keys and this switch work as ever; the collector pauses.
    It needs no backend, holds until it is switched back or the instance ends, and is to be told to
    each instance where there are several. `server.read_only` is how an instance starts.
    """
    require(caller, Call.SWITCH)
    asked = await json_body(exchange, ReadOnlyAsked)
    if services.runtime.read_only != asked.read_only:
        services.runtime.switch_read_only(on=asked.read_only)
        _log.warning(
            "read-only mode is %s",
            "on" if asked.read_only else "off",
            extra={"subject": caller.subject},
        )
    exchange.did("service.read_only", read_only=asked.read_only)
    return ReadOnlyMode(read_only=asked.read_only)


read_only_routes = [read_only, switch_read_only]
