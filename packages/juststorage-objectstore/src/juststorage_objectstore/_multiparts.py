"""Incomplete multipart uploads of S3, which the client can neither list nor abort.

A process that dies in the middle of a large upload leaves its parts behind: invisible, and paid for
until somebody aborts the upload. This takes an access key that we know; where the credentials come
from a role, and at other providers, a lifecycle rule of the bucket does it (see the README).
"""

from __future__ import annotations

import http.client
import itertools
import os
import ssl
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import anyio

from juststorage.domain import Locator
from juststorage.errors import NotFound, Unavailable
from juststorage_objectstore._aside import run_aside
from juststorage_objectstore._calls import Call, Calls
from juststorage_objectstore._errors import Refused
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore._settings import environment_credentials, parse_url, trusted
from juststorage_objectstore._signing import Credentials, query_string, signed_headers

__all__ = ["Multipart", "Multiparts", "find_multiparts"]

_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024

_PAUSE_S: Final = 0.1
"""Before the second attempt of a call that the server could not do; each next one is twice it."""


class Multipart(NamedTuple):
    """An incomplete upload: where it leads to, its name at the store, and since when."""

    locator: Locator
    upload: str
    since: datetime


class Multiparts:
    """Lists and aborts, one request at a time, in a thread: nobody waits for it but the sweeper."""

    def __init__(  # the pieces of a URL, and what signs it
        self,
        base: str,
        prefix: str,
        *,
        region: str,
        credentials: Credentials,
        timeout_s: float,
        deadline_s: float,
        retries: int,
        tls: ssl.SSLContext | None,
        calls: Calls | None = None,
    ) -> None:
        self._calls = calls
        self._url = urlsplit(base)
        self._prefix = f"{prefix}/" if prefix else ""
        self._region = region
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._retries = retries
        self._tls = tls

    async def under(self, prefix: str) -> AsyncIterator[Multipart]:
        """All uploads below a prefix, in an order of the server's choosing.

        Dialects differ in it, so pages are asked for in the server's own words. Of two uploads for
        one locator one may be passed over: they are one upload's, alive or dead together.
        """
        query = {"uploads": "", "prefix": f"{self._prefix}{prefix}/", "max-uploads": "1000"}
        seen: set[tuple[str, str]] = set()
        while True:
            found, marker = _parsed(await self._page(query))
            for key, upload, since in found:
                yield Multipart(key.removeprefix(self._prefix), upload, since)
            if marker is None or marker in seen:  # a server that repeats itself would never end
                return
            seen.add(marker)
            query |= {"key-marker": marker[0], "upload-id-marker": marker[1]}

    async def _page(self, query: dict[str, str]) -> bytes:
        try:
            return await self._send("list_uploads", "GET", "", query)
        except _Rejected:
            # versitygw gives a marker of uploads that it does not take back.
            if "upload-id-marker" not in query:
                raise
            del query["upload-id-marker"]
            return await self._send("list_uploads", "GET", "", query)

    async def abort(self, locator: Locator, upload: str) -> None:
        """Drop the parts of an upload; one that is completed or absent stays as it is."""
        try:
            query = {"uploadId": upload}
            await self._send("abort_upload", "DELETE", self._prefix + locator, query)
        except NotFound:
            return

    async def _send(self, call: Call, method: str, key: str, query: dict[str, str]) -> bytes:
        if self._calls is None:
            return await self._in_time(partial(self._exchange, method, key, query, {}))
        with self._calls(call):
            # The signature does not cover them.
            send = partial(self._exchange, method, key, query, self._calls.headers())
            return await self._in_time(send)

    async def _in_time(self, send: Callable[[], bytes]) -> bytes:
        # Each attempt has a time-out of its own, but that is for silence: it begins again with
        # every byte.
        try:
            with anyio.fail_after(self._deadline_s):
                return await self._attempts(send)
        except TimeoutError as error:
            raise Unavailable("the object store did not answer in time") from error

    async def _attempts(self, send: Callable[[], bytes]) -> bytes:
        # Both calls may be repeated: a list asks, and an abort has the same end. A server answers
        # 500 where a part of a dead client arrives while its upload is being dropped.
        for attempt in itertools.count():
            try:
                return await run_aside(send)
            except (Refused, _Rejected):
                raise
            except Unavailable:
                if attempt >= self._retries:
                    raise
                await anyio.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError("there is always another attempt, or an end")

    def _exchange(
        self, method: str, key: str, query: dict[str, str], more: Mapping[str, str]
    ) -> bytes:
        host = self._url.netloc
        path = quote(f"{self._url.path.rstrip('/')}/{key}", safe="/-_.~")
        headers = signed_headers(
            method,
            host,
            path,
            query,
            region=self._region,
            credentials=self._credentials,
            now=datetime.now(UTC),  # the server compares it with its own
        )
        connection = self._connection(host)
        try:
            connection.request(method, f"{path}?{query_string(query)}", headers={**headers, **more})
            answer = connection.getresponse()
            body = answer.read(_ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("the object store failed or did not answer") from error
        finally:
            connection.close()
        return _checked(answer.status, body)

    def _connection(self, host: str) -> http.client.HTTPConnection:
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, timeout=self._timeout_s, context=self._tls)


class _Rejected(Unavailable):
    """The server does not understand the request."""


def _checked(status: int, body: bytes) -> bytes:
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return body
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound("there is no such upload")
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
        raise Refused("the object store refuses access")
    kind = _Rejected if status == HTTPStatus.BAD_REQUEST else Unavailable
    raise kind(f"the object store answers with status {status}")


def _parsed(body: bytes) -> tuple[list[tuple[str, str, datetime]], tuple[str, str] | None]:
    """The uploads of a listing, and the markers to go on with where there are more.

    Not every server names the namespace.
    """
    try:
        root = ET.fromstring(body)  # noqa: S314  from our own store; expat limits expansion
        uploads = [
            (
                each.findtext("{*}Key", ""),
                each.findtext("{*}UploadId", ""),
                datetime.fromisoformat(each.findtext("{*}Initiated", "")),
            )
            for each in root.iterfind("{*}Upload")
        ]
    except (ET.ParseError, ValueError) as error:
        raise Unavailable("the object store's list of uploads cannot be read") from error
    if root.findtext("{*}IsTruncated", "false") != "true":
        return uploads, None
    names = ("NextKeyMarker", "NextUploadIdMarker")
    key, upload = (root.findtext(f"{{*}}{name}", "") for name in names)
    return uploads, (key, upload)


def find_multiparts(options: ObjectStoreOptions, calls: Calls | None = None) -> Multiparts | None:
    """What lists and aborts, where the store is S3 and the access key is known."""
    place = parse_url(options.url)
    if place.scheme != "s3":
        return None
    if options.access_key_id is not None and options.secret_access_key is not None:
        token = options.session_token
        credentials = Credentials(
            options.access_key_id.reveal(),
            options.secret_access_key.reveal(),
            token.reveal() if token is not None else "",
        )
    else:
        found = environment_credentials(os.environ)
        if len(found.keys() - {"session_token"}) < 2:
            return None
        credentials = Credentials(**found)
    region = options.region or "us-east-1"
    base = (options.endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
    if options.endpoint is None or not _is_virtual_hosted(options):
        base = f"{base}/{place.bucket}"
    return Multiparts(
        base,
        place.prefix,
        region=region,
        credentials=credentials,
        timeout_s=options.timeout_s,
        deadline_s=options.deadline_s,
        retries=options.retries,
        calls=calls,
        tls=ssl.create_default_context(cadata=trusted(options)) if "https" in base[:5] else None,
    )


def _is_virtual_hosted(options: ObjectStoreOptions) -> bool:
    wanted = options.settings.get("virtual_hosted_style_request", "false")
    return wanted.lower() in {"true", "1", "yes", "on"}
