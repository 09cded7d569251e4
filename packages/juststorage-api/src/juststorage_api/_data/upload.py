"""POST and PUT: bytes come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
from msgspec.structs import replace

from juststorage.domain import (
    ContentHash,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    TenantId,
)
from juststorage.errors import Invalid, Unavailable
from juststorage.ports import Committed, UploadIntent
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._data._body import RequestBody, read_whole
from juststorage_api._data._target import keyed
from juststorage_api._dto import encode, location_of, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._http.conditions import write_conditions
from juststorage_api._http.digests import announced_digests
from juststorage_api._http.headers import (
    body_length,
    content_type,
    object_metadata,
    refuse_coding,
    refuse_form,
)
from juststorage_api._http.idempotency import idempotency_key, upload_request
from juststorage_api._http.query import parse_query
from juststorage_api._meters import UPLOADS_IN_FLIGHT
from juststorage_api._services import Services

__all__ = ["Uploads"]

_POST: Final = frozenset({"key", "namespace", "storage_class", "tenant_id"})
_PUT: Final = frozenset({"storage_class"})


class Uploads:
    """201 or 200 once the bytes are durable and the object is visible."""

    def __init__(self, services: Services) -> None:
        self._upload = services.cases.upload
        self._small_bytes = min(services.uploads.small_bytes, services.uploads.max_bytes)
        self._idle_s = services.uploads.idle_timeout_s
        self._ttl_s = services.uploads.idempotency_ttl_s
        self._rate_min = services.uploads.min_rate_bytes_s
        self._in_flight = 0
        self._sheet = services.sheet
        self._sheet.set(UPLOADS_IN_FLIGHT, 0)
        self._in_flight_max = services.runtime.config.limits.uploads_in_flight

    async def post(self, exchange: Exchange) -> None:
        """POST /v1/objects."""
        parameters = parse_query(exchange.scope["query_string"], _POST)
        tenant_id = tenant_for(exchange.caller, Call.UPLOAD, parameters.get("tenant_id"))
        exchange.tenant_id = tenant_id
        namespace = parameters.get("namespace")
        if namespace is None:
            raise Invalid("namespace is required")
        if b"if-match" in exchange.fields:
            raise Invalid("If-Match is for PUT and DELETE: a POST never replaces")
        key = parameters.get("key")
        intent = _intent(
            exchange,
            held_namespace(exchange.caller, namespace),
            tenant_id,
            None if key is None else ObjectKey(key),
            parameters.get("storage_class"),
            replace=False,
        )
        await self._receive(exchange, intent)

    async def put(self, exchange: Exchange) -> None:
        """PUT /v1/objects/by-key/{namespace}/{tenant_id}/{key}."""
        namespace, tenant_id, key = keyed(exchange, Call.UPLOAD)
        parameters = parse_query(exchange.scope["query_string"], _PUT)
        storage_class = parameters.get("storage_class")
        intent = _intent(exchange, namespace, tenant_id, key, storage_class, replace=True)
        await self._receive(exchange, intent)

    async def _receive(self, exchange: Exchange, intent: UploadIntent) -> None:
        fields = exchange.fields
        key = idempotency_key(fields, upload_request(exchange.method, intent.new), self._ttl_s)
        if key is not None:
            intent = replace(intent, idempotency=key)
        refuse_coding(fields)
        refuse_form(intent.new.content_type)
        expected = announced_digests(fields)
        length = body_length(fields)
        if length is None and _has_no_body(exchange):
            length = 0
        if self._in_flight >= self._in_flight_max:
            raise Unavailable(f"{self._in_flight_max} uploads are under way; more have to wait")
        self._in_flight += 1
        self._sheet.set(UPLOADS_IN_FLIGHT, self._in_flight)
        try:
            committed = await self._store(exchange, intent, length, expected)
        finally:
            self._in_flight -= 1
            self._sheet.set(UPLOADS_IN_FLIGHT, self._in_flight)
        await _answer(exchange, committed)

    async def _store(
        self,
        exchange: Exchange,
        intent: UploadIntent,
        length: int | None,
        expected: Sequence[ContentHash],
    ) -> Committed:
        # Who waits for 100 Continue is told a refusal before the body, and that takes two
        # statements; for small bodies that come unasked, one is enough.
        small = length is not None and length <= self._small_bytes
        if small and length is not None and not exchange.waits_to_continue:
            data = await read_whole(exchange, length, self._timeout_s(length))
            return await self._upload.whole(intent, data, expected=expected)
        body = RequestBody(exchange, length)
        committed: Committed | None = None
        with anyio.CancelScope() as cancelling:
            exchange.stop = cancelling.cancel
            committed = await self._upload.stream(
                intent, body, size_bytes=length, expected=expected
            )
        if committed is None:
            raise Unavailable("the upload was not done in time")
        return committed

    def _timeout_s(self, length: int) -> float:
        """For a small body: time to stand still, and time to arrive at the slowest rate."""
        return self._idle_s + (length / self._rate_min if self._rate_min else 0.0)


def _intent(
    exchange: Exchange,
    namespace: Namespace,
    tenant_id: TenantId,
    key: ObjectKey | None,
    storage_class: str | None,
    *,
    replace: bool,
) -> UploadIntent:
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


def _has_no_body(exchange: Exchange) -> bool:
    """HTTP/1 without length and coding has no body (RFC 9112, 6.3); HTTP/2 may leave both out."""
    version: str = exchange.scope.get("http_version", "1.1")
    return version.startswith("1") and b"transfer-encoding" not in exchange.fields


async def _answer(exchange: Exchange, committed: Committed) -> None:
    stored = committed.object
    if not committed.is_repeated:
        exchange.did(
            "object.created" if committed.replaced is None else "object.replaced",
            object_id=str(stored.id),
            namespace=str(stored.namespace),
            content_hash=str(stored.content_hash),
            **({} if committed.replaced is None else {"replaced": str(committed.replaced)}),
        )
    await exchange.answer(
        201 if committed.replaced is None else 200,
        [
            (b"content-type", b"application/json"),
            (b"location", location_of(exchange.caller, stored).encode()),
            (b"etag", b'"%b"' % (stored.content_hash or "").encode()),
        ],
        encode(object_dto(stored)),
    )
