"""GET and HEAD: bytes go out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

from juststorage.domain import StoredObject
from juststorage.errors import Corrupt, NotFound, PreconditionFailed, Unavailable
from juststorage.ports import BlobReader
from juststorage_api._access import Call, tenant_for
from juststorage_api._data._sending import send_part, send_parts, send_pieces
from juststorage_api._data._target import keyed, object_id
from juststorage_api._exchange import Exchange
from juststorage_api._http.conditions import Outcome, judge_read, range_applies
from juststorage_api._http.dates import format_date
from juststorage_api._http.digests import repr_digest, wants_sha256
from juststorage_api._http.headers import attachment
from juststorage_api._http.problem import Headers
from juststorage_api._http.query import parse_query
from juststorage_api._http.ranges import Span, parse_range
from juststorage_api._services import Services

__all__ = ["Downloads"]

_BY_ID: Final = frozenset({"tenant_id", "filename"})
_BY_KEY: Final = frozenset({"filename"})

_LOOKS_MAX: Final = 5

_ACCEPT_RANGES: Final = (b"accept-ranges", b"bytes")
_CACHE: Final = (b"cache-control", b"private, no-cache")
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_REPR: Final = b"repr-digest"
_SANDBOX: Final = (b"content-security-policy", b"sandbox")


class Downloads:
    """200, 206 or 304.

    The blob is open, and of the recorded size, before the head is sent; a small one is hashed
    again, too. A large one is hashed while it is sent, as far as that is needed. A body that fails
    midway, or turns out wrong before its end, is cut off.
    """

    def __init__(self, services: Services) -> None:
        self._find = services.cases.find
        self._download = services.cases.download
        self._clock = services.runtime.clock

    async def by_id(self, exchange: Exchange) -> None:
        """GET and HEAD /v1/objects/{id}."""
        caller = exchange.caller
        parameters = parse_query(exchange.scope["query_string"], _BY_ID)
        named = parameters.get("tenant_id")
        exchange.tenant_id = tenant_id = tenant_for(caller, Call.DOWNLOAD, named)
        stored = await self._find.by_id(
            tenant_id, object_id(exchange), namespaces=caller.namespaces
        )
        await self._send(exchange, stored, parameters.get("filename"))

    async def by_key(self, exchange: Exchange) -> None:
        """GET and HEAD /v1/objects/by-key/{namespace}/{tenant_id}/{key}."""
        namespace, tenant_id, key = keyed(exchange, Call.DOWNLOAD)
        parameters = parse_query(exchange.scope["query_string"], _BY_KEY)
        for _ in range(_LOOKS_MAX):
            stored = await self._find.by_key(tenant_id, namespace, key)
            # Nothing of an answer was sent where the object is gone: replaced and collected since
            # it was found, which leaves the key with another one, or deleted.
            with suppress(NotFound):
                return await self._send(exchange, stored, parameters.get("filename"))
        raise Unavailable("the key is replaced faster than its objects can be opened")

    async def _send(self, exchange: Exchange, stored: StoredObject, filename: str | None) -> None:
        assert stored.content_hash is not None and stored.size_bytes is not None
        fields = exchange.fields
        etag = b'"%b"' % stored.content_hash.encode()
        modified_s = int(stored.updated_at.timestamp())
        headers: Headers = [
            (b"etag", etag),
            (b"last-modified", format_date(modified_s)),
            (b"x-object-id", stored.id.encode()),
            _CACHE,
        ]
        disposition = None if filename is None else attachment(filename)
        outcome = judge_read(fields, etag, modified_s)
        if outcome is not Outcome.GO:
            if outcome is Outcome.FAILED:
                raise PreconditionFailed("the object is not the one that the precondition names")
            await exchange.answer(304, headers)
            return
        spans = None
        if (
            b"range" in fields
            and exchange.method == "GET"
            and self._range_counts(exchange, etag, modified_s)
        ):
            spans = parse_range(fields[b"range"], stored.size_bytes, exchange.bounds.ranges)
        headers += _content_headers(stored)
        if spans is None and wants_sha256(fields.get(b"want-content-digest")):
            # Of a part nobody knows it before it is read.
            headers += [(b"content-digest", digest) for name, digest in headers if name == _REPR]
        if disposition is not None:
            headers.append((b"content-disposition", disposition))
        if spans is None:
            data = self._download.remembered(stored)
            if data is not None:
                await _send_data(exchange, stored, headers, data)
                return
        # For HEAD too: what GET could not send is not there.
        reader = await self._download.open(stored)
        try:
            if exchange.method == "HEAD":
                await _send_head(exchange, stored, headers)
            elif spans is None:
                await self._send_whole(exchange, stored, reader, headers)
            else:
                await self._send_in_part(exchange, stored, reader, headers, spans)
        finally:
            await reader.aclose()

    def _range_counts(self, exchange: Exchange, etag: bytes, modified_s: int) -> bool:
        if_range = exchange.fields.get(b"if-range")
        if if_range is None:
            return True
        return range_applies(if_range, etag, modified_s, self._clock.now().timestamp())

    async def _send_whole(
        self, exchange: Exchange, stored: StoredObject, reader: BlobReader, headers: Headers
    ) -> None:
        data = await self._download.small(reader, stored)
        if data is not None:
            await _send_data(exchange, stored, headers, data)
        else:
            headers.append(_content_type(stored))
            headers.append((b"content-length", b"%d" % reader.size_bytes))
            # Not with ASGI's pathsend: the server would open the path by itself, after the head was
            # decided, and the collector may have moved the file in between (R06). The reader holds
            # the open file, which no removal takes away. And nobody would hash what is sent.
            await exchange.start(200, headers)
            async with aclosing(self._download.pieces(reader, stored)) as pieces:
                await send_pieces(exchange, pieces)

    async def _send_in_part(
        self,
        exchange: Exchange,
        stored: StoredObject,
        reader: BlobReader,
        headers: Headers,
        spans: Sequence[Span],
    ) -> None:
        try:
            if len(spans) == 1:
                headers.append(_content_type(stored))
                await send_part(exchange, reader, headers, spans[0])
            else:
                content_type = _content_type(stored)[1]
                await send_parts(exchange, reader, headers, spans, content_type)
        except Corrupt:
            await self._download.damaged(stored, "unreadable")
            raise
        finally:
            self._download.read_in_part(reader, stored)


async def _send_data(
    exchange: Exchange, stored: StoredObject, headers: Headers, data: bytes
) -> None:
    headers.append(_content_type(stored))
    await exchange.answer(200, headers, data)


async def _send_head(exchange: Exchange, stored: StoredObject, headers: Headers) -> None:
    headers.append(_content_type(stored))
    headers.append((b"content-length", b"%d" % (stored.size_bytes or 0)))
    await exchange.start(200, headers)
    await exchange.send_body(b"", more=False)


def _content_type(stored: StoredObject) -> tuple[bytes, bytes]:
    return b"content-type", stored.content_type.encode("latin-1")


def _content_headers(stored: StoredObject) -> Headers:
    """What describes the content, whole or in parts."""
    assert stored.content_hash is not None
    headers: Headers = [
        (b"x-content-hash", stored.content_hash.encode()),
        _ACCEPT_RANGES,
        _NOSNIFF,
        _SANDBOX,
    ]
    digest = repr_digest(stored.content_hash)
    if digest is not None:
        headers.append((_REPR, digest))
    return headers
