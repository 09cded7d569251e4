"""DELETE, by id and by key."""

from __future__ import annotations

from typing import Final

from juststorage.domain import StoredObject
from juststorage_api._access import Call, tenant_for
from juststorage_api._data._target import keyed, object_id
from juststorage_api._exchange import Exchange
from juststorage_api._http.conditions import write_conditions
from juststorage_api._http.query import parse_query
from juststorage_api._services import Services

__all__ = ["Deletes"]

_BY_ID: Final = frozenset({"tenant_id"})
_BY_KEY: Final[frozenset[str]] = frozenset()


class Deletes:
    """204 once the object is gone for everyone; its bytes are the collector's business."""

    def __init__(self, services: Services) -> None:
        self._delete = services.cases.delete

    async def by_id(self, exchange: Exchange) -> None:
        """DELETE /v1/objects/{id}."""
        caller = exchange.caller
        parameters = parse_query(exchange.scope["query_string"], _BY_ID)
        named = parameters.get("tenant_id")
        exchange.tenant_id = tenant_id = tenant_for(caller, Call.DELETE, named)
        gone = await self._delete.by_id(
            tenant_id,
            object_id(exchange),
            conditions=write_conditions(exchange.fields),
            namespaces=caller.namespaces,
        )
        _note(exchange, gone)
        await exchange.answer(204, [])

    async def by_key(self, exchange: Exchange) -> None:
        """DELETE /v1/objects/by-key/{namespace}/{tenant_id}/{key}."""
        namespace, tenant_id, key = keyed(exchange, Call.DELETE)
        parse_query(exchange.scope["query_string"], _BY_KEY)
        gone = await self._delete.by_key(
            tenant_id, namespace, key, conditions=write_conditions(exchange.fields)
        )
        _note(exchange, gone)
        await exchange.answer(204, [])


def _note(exchange: Exchange, gone: StoredObject) -> None:
    exchange.did("object.deleted", object_ids=[str(gone.id)], namespace=str(gone.namespace))
