"""POST and PUT: bytes come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
from msgspec.structs import replace

from juststorage.domain import ContentHash
from juststorage.errors import Unavailable
from juststorage.ports import Committed, UploadIntent
from juststorage_api._access import Call
from juststorage_api._data._body import RequestBody, read_whole
from juststorage_api._data._intent import make_intent, posted_intent
from juststorage_api._data._stored import note_stored, stored_headers
from juststorage_api._data._target import keyed
from juststorage_api._data._under_way import UploadsUnderWay
from juststorage_api._dto import encode, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._http.digests import announced_digests
from juststorage_api._http.headers import body_length, refuse_coding, refuse_form
from juststorage_api._http.idempotency import idempotency_key, upload_request
from juststorage_api._http.query import parse_query
from juststorage_api._services import Services

__all__ = ["Uploads"]

_POST: Final = frozenset({"key", "namespace", "storage_class", "tenant_id"})
_PUT: Final = frozenset({"storage_class"})


class Uploads:
    """201 or 200 once the bytes are durable and the object is visible."""

    def __init__(self, services: Services, under_way: UploadsUnderWay) -> None:
        self._upload = services.cases.upload
        self._small_bytes = min(services.uploads.small_bytes, services.uploads.max_bytes)
        self._idle_s = services.uploads.idle_timeout_s
        self._ttl_s = services.uploads.idempotency_ttl_s
        self._rate_min = services.uploads.min_rate_bytes_s
        self._under_way = under_way

    async def post(self, exchange: Exchange) -> None:
        """POST /v1/objects."""
        parameters = parse_query(exchange.scope["query_string"], _POST)
        intent = posted_intent(exchange, parameters)
        await self._receive(exchange, intent)

    async def put(self, exchange: Exchange) -> None:
        """PUT /v1/objects/by-key/{namespace}/{tenant_id}/{key}."""
        namespace, tenant_id, key = keyed(exchange, Call.UPLOAD)
        parameters = parse_query(exchange.scope["query_string"], _PUT)
        storage_class = parameters.get("storage_class")
        intent = make_intent(exchange, namespace, tenant_id, key, storage_class, replace=True)
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
        with self._under_way:
            committed = await self._store(exchange, intent, length, expected)
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


def _has_no_body(exchange: Exchange) -> bool:
    """HTTP/1 without length and coding has no body (RFC 9112, 6.3); HTTP/2 may leave both out."""
    version: str = exchange.scope.get("http_version", "1.1")
    return version.startswith("1") and b"transfer-encoding" not in exchange.fields


async def _answer(exchange: Exchange, committed: Committed) -> None:
    stored = committed.object
    note_stored(exchange, committed)
    await exchange.answer(
        201 if committed.replaced is None else 200,
        [
            (b"content-type", b"application/json"),
            *stored_headers(exchange, stored),
        ],
        encode(object_dto(stored)),
    )
