"""The front: what every request passes, and the shortest way for those that are made most.

    request id -> authentication (under /v1) -> data handler, or the routes of the framework
        -> an error of any kind becomes a problem document -> one line in the access log

docs/adr/0014 says why this is not the framework's middleware.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, TypeAlias

import anyio

from juststorage.errors import (
    Invalid,
    JustStorageError,
    NotFound,
    ReadOnly,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.ports import Actor, acting
from juststorage.runtime import log_fields
from juststorage_api._access import told
from juststorage_api._access_log import AccessLog
from juststorage_api._asgi import Application, Message, Receive, Scope, Send
from juststorage_api._audit_log import AuditLog
from juststorage_api._data import (
    Deletes,
    Downloads,
    Pages,
    ResumableUploads,
    Uploads,
    UploadsUnderWay,
)
from juststorage_api._deadlines import Deadlines
from juststorage_api._exchange import ClientGone, Exchange
from juststorage_api._http.headers import fields_of
from juststorage_api._http.path import (
    BY_KEY_PREFIX,
    OBJECTS_PREFIX,
    UPLOADS_PREFIX,
    logged,
    raw_path,
)
from juststorage_api._http.problem import HeadersTooLarge, MethodNotAllowed, Problem, problem_of
from juststorage_api._meters import BY_ID, BY_KEY, COLLECTION, UPLOAD, UPLOADS, HttpMeters
from juststorage_api._read_only import READING, refusal
from juststorage_api._request_id import RequestIds, add_trace
from juststorage_api._services import Services

__all__ = ["Front"]

_log = logging.getLogger("juststorage.api")

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]

_OF_MANY: Final = frozenset({b"/v1/objects/delete", b"/v1/objects/search"})

_CHANGED: Final = (b"/v1/objects", b"/v1/uploads")

_TOLD: Final = (ReadOnly, UnsupportedOperation)
"""What is a refusal, whatever its status is, and no failure."""

_LINGER_S: Final = 2.0
_LINGER_IDLE_S: Final = 0.5
_LINGER_BYTES_MAX: Final = 64 * 1024 * 1024
"""How long, how long without a byte, and for how much, a refused body is read and dropped. Closing
at once would make the kernel reset the connection, and a client that is still sending would lose
the answer to that."""

_KEEP_ALIVE_BYTES_MAX: Final = 64 * 1024
"""A refused body up to this size is worth reading for the connection's sake."""


class Front:
    """The ASGI application of an open service, for HTTP.

    Args:
        services: The use cases.
        routes: Everything that has no handler in `_data`.
    """

    def __init__(self, services: Services, routes: Application) -> None:
        self._authentication = services.authentication
        self._routes = routes
        self._runtime = services.runtime
        self._leaving = services.runtime.leaving
        self._ids = RequestIds()
        self._access_log = AccessLog(services.runtime.config.log.access_ratio)
        self._count = HttpMeters(services.sheet).count
        self._limits = services.limits
        self._names_actors = services.runtime.config.audit.table
        self._audit_log = AuditLog(enabled=services.runtime.config.audit.log)
        self._bounds = services.runtime.config.limits
        self._deadlines = Deadlines(self._bounds.request_timeout_s, self._refuse_overdue)
        self.run = self._deadlines.run
        under_way = UploadsUnderWay(services)
        uploads, downloads = Uploads(services, under_way), Downloads(services)
        resumable = ResumableUploads(services, under_way)
        deletes, pages = Deletes(services), Pages(services)
        self._collection: Mapping[str, Handler] = {"GET": pages.page, "POST": uploads.post}
        self._by_id: Mapping[str, Handler] = {
            "GET": downloads.by_id,
            "HEAD": downloads.by_id,
            "PATCH": self._route,
            "DELETE": deletes.by_id,
        }
        # What is asked of many objects at once; their names are no ids.
        self._of_many: Mapping[str, Handler] = {"POST": self._route}
        self._by_key: Mapping[str, Handler] = {
            "GET": downloads.by_key,
            "HEAD": downloads.by_key,
            "PUT": uploads.put,
            "DELETE": deletes.by_key,
        }
        self._uploads: Mapping[str, Handler] = {
            "POST": resumable.post,
            "OPTIONS": resumable.options,
        }
        self._upload: Mapping[str, Handler] = {
            "HEAD": resumable.head,
            "PATCH": resumable.patch,
            "DELETE": resumable.delete,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        fields: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._ids.choose(fields.get(b"x-request-id"))
        facts: dict[str, Any] = {**log_fields.get(), "request_id": request_id.decode("ascii")}
        if b"traceparent" in fields:
            add_trace(facts, fields[b"traceparent"])
        exchange = Exchange(
            scope,
            receive,
            send,
            path=raw_path(scope["path"], scope.get("raw_path")),
            fields=fields,
            request_id=request_id,
            bounds=self._bounds,
            since=began,
            facts=facts,
            leaving=self._leaving,
        )
        self._deadlines.add(exchange)
        context = log_fields.set(facts)
        try:
            await self._serve(exchange)
        except ClientGone:
            pass  # the connection is closed, and nothing was left behind
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets a document
            if not exchange.is_overdue:
                await self._refuse(exchange, error)
        except asyncio.CancelledError:
            if self._leaving.cuts:
                await self._cut_off(exchange)
            raise
        finally:
            self._deadlines.discard(exchange)
            if self._limits is not None:
                self._limits.charge(exchange)
            self._audit_log.write(exchange)
            seconds = perf_counter() - began
            self._count(exchange, seconds)
            self._access_log.write(exchange, seconds)
            log_fields.reset(context)

    async def _serve(self, exchange: Exchange) -> None:
        path = exchange.path
        self._check_head(exchange)
        if path.startswith(b"/v1/") or path == b"/v1":
            # First of all: who is not known learns nothing else, not even which routes exist.
            exchange.principal = await self._authentication.principal(
                exchange.scope, exchange.fields
            )
            if self._limits is not None:
                self._limits.admit(exchange)
            if exchange.method not in READING:
                self._before_change(exchange)
        if len(exchange.fields) != len(exchange.scope["headers"]):
            exchange.fields = fields_of(exchange.scope["headers"])
        if path.startswith(OBJECTS_PREFIX):
            if path.startswith(BY_KEY_PREFIX):
                handlers = self._by_key
                exchange.route = BY_KEY
            elif path in _OF_MANY:
                handlers = self._of_many
            elif b"/" not in path[len(OBJECTS_PREFIX) :] and len(path) > len(OBJECTS_PREFIX):
                handlers = self._by_id
                exchange.route = BY_ID
            else:
                return await self._route(exchange)
        elif path == b"/v1/objects":
            handlers = self._collection
            exchange.route = COLLECTION
        else:
            return await self._serve_others(exchange)
        handler = handlers.get(exchange.method)
        if handler is None:
            raise self._unanswered(path, handlers)
        return await handler(exchange)

    async def _serve_others(self, exchange: Exchange) -> None:
        """What is asked less often: uploads in turns, and all that the framework has."""
        path = exchange.path
        if path == b"/v1/uploads":
            handlers = self._uploads
            exchange.route = UPLOADS
        elif _is_upload(path):
            handlers = self._upload
            exchange.route = UPLOAD
        else:
            return await self._route(exchange)
        handler = handlers.get(exchange.method)
        if handler is None:
            raise MethodNotAllowed(", ".join(handlers))
        return await handler(exchange)

    def _before_change(self, exchange: Exchange) -> None:
        if self._runtime.read_only and _changes_objects(exchange.path):
            raise refusal()
        if self._names_actors:
            # The request has a task of its own, so this is gone when it is.
            acting.set(Actor(exchange.caller.subject, exchange.request_id.decode("ascii")))

    def _unanswered(self, path: bytes, handlers: Mapping[str, Handler]) -> Exception:
        if handlers is self._by_key and path.count(b"/") < BY_KEY_PREFIX.count(b"/") + 2:
            return NotFound("there is no such resource")  # a path without a key is none
        return MethodNotAllowed(", ".join(handlers))

    def _check_head(self, exchange: Exchange) -> None:
        """What servers may leave to their application."""
        # RFC 9112, 3.2. Granian puts an empty one where there is none.
        if not exchange.fields.get(b"host") and exchange.scope.get("http_version") == "1.1":
            raise Invalid("the header Host is missing")
        size = len(exchange.path) + len(exchange.scope["query_string"])
        for name, value in exchange.scope["headers"]:
            size += len(name) + len(value)
        if size > self._bounds.header_bytes:
            raise HeadersTooLarge(
                f"target and header fields are over {self._bounds.header_bytes} bytes"
            )

    async def _route(self, exchange: Exchange) -> None:
        """Hand the request to the framework, its answer watched."""
        path = exchange.path
        if b"%" in path or b"//" in path or (len(path) > 1 and path.endswith(b"/")):
            # The framework would see the same path in several spellings; here each has one.
            raise NotFound("there is no such resource")

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if path.startswith(b"/v1/"):
                    # Caches know that `Authorization` makes an answer somebody's, but nothing of
                    # `X-API-Key`.
                    headers.append((b"cache-control", b"no-store"))
                await exchange.start(message["status"], headers)
            else:
                exchange.sent_bytes += len(message.get("body", b""))
                await exchange.send(message)

        exchange.scope.setdefault("state", {})["exchange"] = exchange
        with anyio.CancelScope() as cancelling:
            exchange.stop = cancelling.cancel
            await self._routes(exchange.scope, exchange.receive, send)
        if cancelling.cancelled_caught:
            raise self._deadlines.error()

    async def _refuse_overdue(self, exchange: Exchange, error: Exception) -> None:
        """Answer in the place of a handler that is still at it."""
        if exchange.started:
            return  # it began to answer in this very moment
        exchange.is_overdue = True
        context = log_fields.set(exchange.facts)
        try:
            await self._refuse(exchange, error)
        except Exception as unsent:  # noqa: BLE001  it must not end the task that asked for it
            _log.warning("a request that took too long: no answer (%s)", type(unsent).__name__)
        finally:
            log_fields.reset(context)

    async def _refuse(self, exchange: Exchange, error: Exception) -> None:
        """Answer with a problem document, or cut an answer off that has begun already."""
        error = told(exchange.principal, error)
        problem = self._problem(exchange, error)
        if problem.status >= 500 and not isinstance(error, _TOLD):
            self._log_failure(exchange, error, problem.status)
        if exchange.started:
            # Half an answer must not look like a whole one. Servers close the connection when the
            # application raises; the cause is in our log already.
            raise Unavailable("the answer was cut off") from None
        headers = list(problem.headers)
        if not exchange.has_unread_body:
            await exchange.answer(problem.status, headers, problem.body)
        else:
            await _answer_and_linger(exchange, problem.status, headers, problem.body)

    async def _cut_off(self, exchange: Exchange) -> None:
        """Tell that the ending server has no more time; an answer that has begun breaks off."""
        error = Unavailable("the server is stopping and had no more time for this request")
        problem = self._problem(exchange, error)
        if not exchange.started:
            # At once, whatever the client is still sending; and it may be gone.
            with suppress(Exception):
                await exchange.answer(problem.status, list(problem.headers), problem.body)

    def _problem(self, exchange: Exchange, error: Exception) -> Problem:
        problem = problem_of(
            error,
            instance=exchange.path.decode("ascii", "replace"),
            request_id=exchange.request_id.decode("ascii"),
            challenge=self._authentication.challenge,
        )
        exchange.code = problem.code
        return problem

    def _log_failure(self, exchange: Exchange, error: Exception, status: int) -> None:
        # A backend that is away or full is told in a line; only what nobody expected has a trace.
        expected = isinstance(error, JustStorageError) and status in {503, 507}
        cause = error.__cause__ or error
        _log.error(
            "%s %s failed with %d: %s",
            exchange.method,
            logged(exchange.path),
            status,
            f"{type(cause).__name__}: {cause}" if expected else type(error).__name__,
            exc_info=None if expected else error,
            extra={"status": status},
        )


def _changes_objects(path: bytes) -> bool:
    """Whether a call with this path does, if it is one that could."""
    return path.startswith(_CHANGED) and path != b"/v1/objects/search"


def _is_upload(path: bytes) -> bool:
    """Whether it names a resumable upload."""
    name = path[len(UPLOADS_PREFIX) :]
    return path.startswith(UPLOADS_PREFIX) and name != b"" and b"/" not in name


def _is_http1(exchange: Exchange) -> bool:
    """HTTP/2 has no Connection header: there a refused upload is a stream of its own."""
    version: str = exchange.scope.get("http_version", "1.1")
    return version.startswith("1")


async def _answer_and_linger(
    exchange: Exchange, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Answer a client that may still be sending, then read what it sends for a while."""
    length = exchange.fields.get(b"content-length")
    waits = exchange.waits_to_continue and not exchange.body_asked
    is_small = length is not None and length.isdigit() and int(length) <= _KEEP_ALIVE_BYTES_MAX
    if (waits or not is_small or status == 408) and _is_http1(exchange):
        headers.append((b"connection", b"close"))
    if waits:
        # It was never told to continue, and asking for its body would tell it to.
        await exchange.answer(status, headers, body)
        return
    headers.append((b"content-length", b"%d" % len(body)))
    await exchange.start(status, headers)
    # All but the end: once an answer is whole the server closes, whatever the client still sends.
    split = 0 if exchange.method == "HEAD" else len(body) - 1
    await exchange.send_body(body[:split], more=True)
    remaining = min(_LINGER_BYTES_MAX, int(length)) if is_small and length else _LINGER_BYTES_MAX
    remaining -= exchange.received_bytes
    is_over = remaining <= 0
    with anyio.move_on_after(_LINGER_S):
        while remaining > 0:
            message = None
            with anyio.move_on_after(_LINGER_IDLE_S):
                message = await exchange.receive()
            if message is None:
                break
            remaining -= len(message.get("body", b""))
            is_over = message["type"] != "http.request" or not message.get("more_body", False)
            if is_over:
                break
    end = body[split:] if split else b""
    if not is_over:
        # The server closes once it has the end; but where request and answer are over in the same
        # moment, Granian's may wait for the rest of the body instead, for ever.
        await exchange.send_body(end, more=True)
        end = b""
        with anyio.move_on_after(_LINGER_IDLE_S):
            await exchange.receive()
    await exchange.send_body(end, more=False)
