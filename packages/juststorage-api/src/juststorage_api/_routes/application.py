"""The Litestar application, and its errors as ours."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)

from juststorage.errors import Invalid, NotFound
from juststorage_api._asgi import Receive, Scope, Send
from juststorage_api._http.problem import MethodNotAllowed
from juststorage_api._routes._head import allowed_with_head, as_get
from juststorage_api._routes.admin import admin_routes
from juststorage_api._routes.api_keys import api_key_routes
from juststorage_api._routes.changes import change_routes
from juststorage_api._routes.health import health_routes
from juststorage_api._routes.metrics import metrics_routes
from juststorage_api._routes.objects import object_routes
from juststorage_api._routes.plugins import plugin_routes
from juststorage_api._routes.read_only import read_only_routes
from juststorage_api._routes.schema import schema_routes
from juststorage_api._routes.search import search_routes
from juststorage_api._routes.usage import usage_routes
from juststorage_api._services import Services

__all__ = ["DOCUMENTED", "Routes"]

DOCUMENTED: Final = [
    *object_routes,
    *change_routes,
    *search_routes,
    *usage_routes,
    *api_key_routes,
    *admin_routes,
    *plugin_routes,
    *read_only_routes,
    *health_routes,
    *metrics_routes,
]
"""The routes that the OpenAPI document describes."""


class Routes:
    """An ASGI application that raises `juststorage.errors` where Litestar would answer."""

    def __init__(self, services: Services) -> None:
        async def provide_services() -> Services:
            return services

        self._litestar = Litestar(
            route_handlers=[*DOCUMENTED, *schema_routes],
            dependencies={"services": Provide(provide_services)},
            exception_handlers={Exception: _raise_again, HTTPException: _raise_again},
            logging_config=None,
            # The document is made from an application of its own, with the data calls added.
            openapi_config=None,
            debug=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope, send = as_get(scope, send)
        try:
            await self._litestar(scope, receive, send)  # type: ignore[arg-type]
        except MethodNotAllowedException as error:
            allowed = (error.headers or {}).get("allow", "")
            raise MethodNotAllowed(allowed_with_head(scope, allowed)) from error
        except HTTPException as error:
            raise _translated(error) from error


def _raise_again(request: Request[Any, Any, Any], error: Exception) -> NoReturn:
    """The front answers for all errors of the service, in one place."""
    raise error


def _translated(error: HTTPException) -> Exception:
    if isinstance(error, NotFoundException):
        return NotFound("there is no such resource")
    if 400 <= error.status_code < 500:
        return Invalid(_said(error))
    return error


def _said(error: HTTPException) -> str:
    """What Litestar found wrong with a request, in a sentence."""
    if isinstance(error.extra, list):
        found = [
            f"{entry.get('key', 'the request')}: {entry.get('message', 'is not valid')}"
            for entry in error.extra
            if isinstance(entry, dict)
        ]
        if found:
            return "; ".join(found)
    return "the request is not valid"
