"""Uploads that go on where they broke off: tus 1.0.0, core with creation, expiration, termination.

https://tus.io/protocols/resumable-upload and docs/adr/0032. The name of an upload is a ticket that
its client carries; who brings it must be allowed to write where it leads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from juststorage.domain import OBJECT_BYTES_MAX
from juststorage.errors import Invalid, NotFound, TenantForbidden
from juststorage.usecases import UploadProgress, UploadTicket
from juststorage_api._access import Call, require
from juststorage_api._data._body import RequestBody
from juststorage_api._data._intent import posted_intent
from juststorage_api._data._stored import note_stored, stored_headers
from juststorage_api._data._under_way import UploadsUnderWay
from juststorage_api._dto import encode, object_dto
from juststorage_api._exchange import Exchange
from juststorage_api._http.dates import format_date
from juststorage_api._http.digests import announced_digests
from juststorage_api._http.headers import body_length, refuse_coding, refuse_form
from juststorage_api._http.path import UPLOADS_PREFIX
from juststorage_api._http.problem import Headers, OtherVersion, UnsupportedMediaType
from juststorage_api._http.query import parse_query
from juststorage_api._services import Services

__all__ = ["ResumableUploads"]

_VERSION: Final = b"1.0.0"
_RESUMABLE: Final = (b"tus-resumable", _VERSION)
_NO_STORE: Final = (b"cache-control", b"no-store")
_EXTENSIONS: Final = b"creation,expiration,termination"
_BYTES: Final = b"application/offset+octet-stream"

_POST: Final = frozenset({"key", "namespace", "replace", "storage_class", "tenant_id"})
_NONE: Final[frozenset[str]] = frozenset()
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


class ResumableUploads:
    """An upload in several requests: begun, asked about, added to, given up."""

    def __init__(self, services: Services, under_way: UploadsUnderWay) -> None:
        self._resume = services.cases.resume
        self._clock = services.runtime.clock
        self._under_way = under_way
        self._max_bytes = services.uploads.max_bytes

    async def options(self, exchange: Exchange) -> None:
        """OPTIONS /v1/uploads: what is spoken here."""
        parse_query(exchange.scope["query_string"], _NONE)
        headers: Headers = [
            _RESUMABLE,
            (b"tus-version", _VERSION),
            (b"tus-extension", _EXTENSIONS),
            (b"tus-max-size", b"%d" % min(self._max_bytes, OBJECT_BYTES_MAX)),
        ]
        await exchange.answer(204, headers)

    async def post(self, exchange: Exchange) -> None:
        """POST /v1/uploads."""
        fields = exchange.fields
        parameters = parse_query(exchange.scope["query_string"], _POST)
        intent = posted_intent(exchange, parameters, replace=_is_replacing(parameters))
        _check_version(exchange)
        if b"idempotency-key" in fields:
            raise Invalid(
                "Idempotency-Key is for whole uploads: this one is repeated by its own URL"
            )
        if b"upload-length" not in fields:
            raise Invalid("Upload-Length is required: the bytes of the whole content")
        refuse_form(intent.new.content_type)
        if exchange.has_unread_body:
            raise Invalid("the request that begins an upload has no body: send it by PATCH")
        ticket = await self._resume.begin(
            intent, _number(exchange, b"upload-length"), expected=announced_digests(fields)
        )
        headers: Headers = [
            _RESUMABLE,
            _NO_STORE,
            (b"location", UPLOADS_PREFIX + ticket.encode()),
            (b"upload-offset", b"0"),
            self._expires(self._resume.first_lease_s),
        ]
        await exchange.answer(201, headers)

    async def head(self, exchange: Exchange) -> None:
        """HEAD /v1/uploads/{upload}."""
        ticket = self._ticket(exchange)
        progress = await self._resume.progress(ticket)
        headers: Headers = [
            _NO_STORE,
            (b"upload-length", b"%d" % ticket.size_bytes),
            *_progress_headers(exchange, progress),
        ]
        await exchange.answer(200, headers)

    async def patch(self, exchange: Exchange) -> None:
        """PATCH /v1/uploads/{upload}."""
        fields = exchange.fields
        ticket = self._ticket(exchange)
        if fields.get(b"content-type", b"").strip(b" \t").lower() != _BYTES:
            raise UnsupportedMediaType(f"the Content-Type must be {_BYTES.decode()}")
        if b"upload-offset" not in fields:
            raise Invalid("Upload-Offset is required: the bytes that are there already")
        offset = _number(exchange, b"upload-offset")
        refuse_coding(fields)
        length = body_length(fields)
        if length is None and not exchange.has_unread_body:
            length = 0
        # From here on it takes as long as the bytes do, which may have to be hashed at the end.
        exchange.may_take_long()
        with self._under_way:
            progress = await self._resume.append(
                ticket, offset, RequestBody(exchange, length), size_bytes=length
            )
        await self._answer(exchange, progress)

    async def delete(self, exchange: Exchange) -> None:
        """DELETE /v1/uploads/{upload}."""
        ticket = self._ticket(exchange)
        await self._resume.give_up(ticket)
        exchange.did(
            "upload.given_up", object_id=str(ticket.upload_id), namespace=str(ticket.namespace)
        )
        await exchange.answer(204, [_RESUMABLE])

    def _ticket(self, exchange: Exchange) -> UploadTicket:
        """The upload that the path names, once the caller may write where it leads.

        Raises:
            ScopeMissing: The caller may write nowhere.
            NotFound: There is none, or it is somebody else's.
            OtherVersion: Another version of tus.
        """
        caller = exchange.caller
        require(caller, Call.UPLOAD)
        parse_query(exchange.scope["query_string"], _NONE)
        _check_version(exchange)
        name = exchange.path[len(UPLOADS_PREFIX) :].decode("latin-1")
        ticket = self._resume.ticket(name)
        try:
            caller.resolve_tenant(ticket.tenant_id)
        except TenantForbidden:
            raise NotFound("there is no such upload") from None
        if not caller.holds_namespace(ticket.namespace):
            raise NotFound("there is no such upload")
        exchange.tenant_id = ticket.tenant_id
        return ticket

    async def _answer(self, exchange: Exchange, progress: UploadProgress) -> None:
        headers = _progress_headers(exchange, progress)
        committed = progress.committed
        if committed is None:
            if progress.lives_for_s is not None:
                headers.append(self._expires(progress.lives_for_s))
            await exchange.answer(204, headers)
            return
        note_stored(exchange, committed)
        # Clients of tus take nothing but 204 for success; ours ask for more.
        if exchange.fields.get(b"prefer", b"").strip(b" \t").lower() != b"return=representation":
            await exchange.answer(204, headers)
            return
        headers.append((b"content-type", b"application/json"))
        headers.append((b"preference-applied", b"return=representation"))
        await exchange.answer(200, headers, encode(object_dto(committed.object)))

    def _expires(self, seconds: float) -> tuple[bytes, bytes]:
        return b"upload-expires", format_date(int(self._clock.now().timestamp() + seconds))


def _progress_headers(exchange: Exchange, progress: UploadProgress) -> Headers:
    headers: Headers = [_RESUMABLE, (b"upload-offset", b"%d" % progress.offset)]
    if progress.committed is not None:
        stored = progress.committed.object
        headers += stored_headers(exchange, stored)
        headers.append((b"x-object-id", stored.id.encode()))
    return headers


def _check_version(exchange: Exchange) -> None:
    version = exchange.fields.get(b"tus-resumable")
    # Left out it is welcome, too: curl needs nothing of it.
    if version is not None and version != _VERSION:
        raise OtherVersion(f"tus is spoken here in version {_VERSION.decode()}", _VERSION)


def _is_replacing(parameters: Mapping[str, str]) -> bool:
    """Whether it takes the key's place at commit, as a PUT does, or claims the key now."""
    text = parameters.get("replace", "false")
    if text not in {"true", "false"}:
        raise Invalid("replace must be true or false")
    if text == "true" and "key" not in parameters:
        raise Invalid("replace needs a key: there is nothing to replace without one")
    return text == "true"


def _number(exchange: Exchange, name: bytes) -> int:
    text = exchange.fields[name]
    if not _NUMBER.fullmatch(text):
        raise Invalid(f"{name.decode().title()} is not a number of bytes")
    return int(text)
