"""Which object a call is about: the parts that uploads, downloads and deletes have in common."""

from __future__ import annotations

from juststorage.domain import Namespace, ObjectId, ObjectKey, TenantId
from juststorage.errors import Invalid
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._exchange import Exchange
from juststorage_api._http.path import OBJECTS_PREFIX, by_key
from juststorage_api._http.percent import decode

__all__ = ["keyed", "object_id"]


def object_id(exchange: Exchange) -> ObjectId:
    """The id that the path ends with.

    Raises:
        Invalid: It is no UUID.
    """
    try:
        return ObjectId(decode(exchange.path[len(OBJECTS_PREFIX) :]))
    except ValueError as error:
        raise Invalid(f"the object id is malformed in the path: {error}") from None


def keyed(exchange: Exchange, call: Call) -> tuple[Namespace, TenantId, ObjectKey]:
    """Namespace, tenant and key of the path, once the caller may use them.

    Raises:
        NotFound, InvalidName: See `by_key`.
        ScopeMissing, TenantForbidden: The caller may not.
    """
    namespace, named, key = by_key(exchange.path)
    exchange.tenant_id = tenant_id = tenant_for(exchange.caller, call, named)
    return held_namespace(exchange.caller, namespace), tenant_id, key
