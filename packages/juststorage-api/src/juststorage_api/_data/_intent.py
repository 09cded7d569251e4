"""What an upload means to become, as query and header fields say it: the same for every way in."""

from __future__ import annotations

from collections.abc import Mapping

from juststorage.domain import Namespace, NewObject, ObjectId, ObjectKey, StorageClass, TenantId
from juststorage.errors import Invalid
from juststorage.ports import UploadIntent
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._exchange import Exchange
from juststorage_api._http.conditions import write_conditions
from juststorage_api._http.headers import content_type, object_metadata

__all__ = ["make_intent", "posted_intent"]


def posted_intent(
    exchange: Exchange, parameters: Mapping[str, str], *, replace: bool = False
) -> UploadIntent:
    """That of a POST, whose query says where the object goes.

    Raises:
        ScopeMissing, TenantForbidden: The caller may not write there.
        Invalid: No namespace; a condition that only a replacement can have.
        InvalidName, InvalidMetadata: A field breaks its rules.
    """
    tenant_id = tenant_for(exchange.caller, Call.UPLOAD, parameters.get("tenant_id"))
    exchange.tenant_id = tenant_id
    namespace = parameters.get("namespace")
    if namespace is None:
        raise Invalid("namespace is required")
    if b"if-match" in exchange.fields and not replace:
        raise Invalid("If-Match is for PUT and DELETE: a POST never replaces")
    key = parameters.get("key")
    return make_intent(
        exchange,
        held_namespace(exchange.caller, namespace),
        tenant_id,
        None if key is None else ObjectKey(key),
        parameters.get("storage_class"),
        replace=replace,
    )


def make_intent(
    exchange: Exchange,
    namespace: Namespace,
    tenant_id: TenantId,
    key: ObjectKey | None,
    storage_class: str | None,
    *,
    replace: bool,
) -> UploadIntent:
    """That of an upload to a place that the caller may write to.

    Raises:
        Invalid, InvalidMetadata: A field breaks its rules.
    """
    fields = exchange.fields
    return UploadIntent(
        new=NewObject(
            id=ObjectId.new(),
            namespace=namespace,
            tenant_id=tenant_id,
            key=key,
            storage_class=(
                StorageClass.HOT if storage_class is None else StorageClass.parse(storage_class)
            ),
            content_type=content_type(fields),
            metadata=object_metadata(fields, exchange.bounds),
        ),
        replace=replace,
        conditions=write_conditions(fields),
    )
