"""What holds for every JSON route: the caller is known, and no parameter is unknown or repeated."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from juststorage.domain import Principal
from juststorage.errors import Invalid
from juststorage_api._exchange import Exchange
from juststorage_api._http.query import parse_query

__all__ = ["bounded_page", "known_parameters", "provide_caller", "provide_exchange"]

_DECLARED = "declared_query_parameters"


async def provide_exchange(request: Request[Any, Any, Any]) -> Exchange:
    """The exchange that the front began; there is no way round it."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return exchange


async def provide_caller(request: Request[Any, Any, Any]) -> Principal:
    """The authenticated caller."""
    return (await provide_exchange(request)).caller


def bounded_page(exchange: Exchange, limit: int) -> None:
    """Refuse pages that are larger than this service is configured to give.

    Raises:
        Invalid: `limit` is over `limits.page_size`.
    """
    if limit > exchange.bounds.page_size:
        raise Invalid(f"limit must be 1 to {exchange.bounds.page_size}")


# Async like the two above: what is sync costs a thread hop, or is called through a wrapper.
async def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard: refuse query parameters that the handler does not declare, and repeated ones.

    Raises:
        Invalid: There is one.
    """
    declared = handler.opt.get(_DECLARED)
    if declared is None:
        # Once for each handler: what is neither injected nor in the path comes from the query.
        elsewhere = {*handler.resolve_dependencies(), *connection.path_params, "return"}
        declared = frozenset(handler.parsed_fn_signature.parameters) - elsewhere
        handler.opt[_DECLARED] = declared
    parse_query(connection.scope["query_string"], declared)
