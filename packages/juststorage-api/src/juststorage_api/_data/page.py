"""GET /v1/objects: a page of a tenant's objects."""

from __future__ import annotations

from typing import Final, NamedTuple

from juststorage.domain import (
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    NamespacePattern,
    ObjectKey,
    Query,
    SortBy,
    TenantId,
)
from juststorage.errors import Invalid
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._data._shared import SharedCalls
from juststorage_api._dto import ObjectPage, encode, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._http.query import parse_query
from juststorage_api._services import Services

__all__ = ["Pages"]

_KNOWN: Final = frozenset({"namespace", "tenant_id", "prefix", "limit", "cursor"})
_LIMIT_DIGITS_MAX: Final = len(str(PAGE_SIZE_MAX))


class _Asked(NamedTuple):
    """All that a page depends on: who asks is not part of it, once they may."""

    tenant_id: TenantId
    namespaces: frozenset[NamespacePattern] | None
    prefix: ObjectKey | None
    limit: int
    cursor: str | None


class Pages:
    """Newest first, or by key where a prefix is given.

    Carries no bytes, yet is asked as often as if it did: clients that wait for something to appear
    ask for the same page again and again. Those that do so at once share one statement and one
    encoding.
    """

    def __init__(self, services: Services) -> None:
        self._list = services.cases.list
        self._bodies = SharedCalls(self._body)

    async def page(self, exchange: Exchange) -> None:
        """GET /v1/objects."""
        caller = exchange.caller
        parameters = parse_query(exchange.scope["query_string"], _KNOWN)
        exchange.tenant_id = tenant_id = tenant_for(caller, Call.LIST, parameters.get("tenant_id"))
        limit = _limit(parameters.get("limit"), exchange.bounds.page_size)
        namespaces = caller.namespaces
        if (namespace := parameters.get("namespace")) is not None:
            namespaces = frozenset({held_namespace(caller, namespace)})
        prefix = ObjectKey(named) if (named := parameters.get("prefix")) else None
        asked = _Asked(tenant_id, namespaces, prefix, limit, parameters.get("cursor"))
        body = await self._bodies.answer(asked)
        # Caches know that `Authorization` makes an answer somebody's, but nothing of `X-API-Key`.
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await exchange.answer(200, headers, body)

    async def _body(self, asked: _Asked) -> bytes:
        query = Query(
            tenant_id=asked.tenant_id,
            namespaces=asked.namespaces,
            key_prefix=asked.prefix,
            sort_by=SortBy.KEY if asked.prefix else SortBy.CREATED_AT,
            descending=not asked.prefix,
            limit=asked.limit,
        )
        listing = await self._list.page(query, cursor=asked.cursor)
        page = ObjectPage(
            objects=[object_dto(stored) for stored in listing.objects],
            next_cursor=listing.next_cursor,
        )
        return encode(page)


def _limit(text: str | None, page_size: int) -> int:
    if text is None:
        limit = PAGE_SIZE_DEFAULT
    elif text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS_MAX:
        limit = int(text)
    else:
        limit = 0
    if not 1 <= limit <= page_size:
        raise Invalid(f"limit must be 1 to {page_size}")
    return limit
