"""What holds for every JSON route: the caller is known, and no parameter is unknown or repeated."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from juststorage.domain import Principal
from juststorage_api._exchange import Exchange
from juststorage_api._http.query import parse_query

__all__ = ["known_parameters", "provide_caller", "provide_exchange"]


def provide_exchange(request: Request[Any, Any, Any]) -> Exchange:
    """The exchange that the front began; there is no way round it."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return exchange


def provide_caller(request: Request[Any, Any, Any]) -> Principal:
    """The authenticated caller."""
    return provide_exchange(request).caller


def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard: refuse query parameters that the handler does not declare, and repeated ones.

    Raises:
        Invalid: There is one.
    """
    parse_query(connection.scope["query_string"], _declared(handler))


@lru_cache(maxsize=256)
def _declared(handler: BaseRouteHandler) -> frozenset[str]:
    return frozenset(handler.opt.get("query", ()))
