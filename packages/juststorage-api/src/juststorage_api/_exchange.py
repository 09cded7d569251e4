"""One request and its answer, as the front and the data handlers pass it around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from juststorage.config import Limits as Bounds
from juststorage.domain import Principal, TenantId
from juststorage.runtime import Leaving
from juststorage_api._asgi import Receive, Scope, Send
from juststorage_api._http.problem import Headers

__all__ = ["ClientGone", "Exchange"]


_NEVER: Final = float("inf")


class ClientGone(Exception):
    """Nobody is left to answer: the client has closed the connection, or has its answer already."""


class Limits(Protocol):
    """What an exchange needs to know about rate limits."""

    def admit_tenant(self, exchange: Exchange, tenant_id: TenantId) -> None:
        """Let it act for a tenant, or raise `RateLimited`."""
        ...

    def headers(self, exchange: Exchange) -> Headers:
        """The fields that its answer carries."""
        ...


class Exchange:
    """A request under way.

    Slots and plain attributes, because one is made for every request. What the access log tells is
    collected here: `status`, `code`, `tenant_id`, `sent_bytes`, `received_bytes`; `route` is the
    template of its path where the front knew it at once. `facts` are the fields of every line that
    is logged meanwhile: the ids of the request, of the caller's trace, and of the tenant.
    """

    __slots__ = (
        "_tenant_id",
        "allowance",
        "body_asked",
        "body_done",
        "bounds",
        "code",
        "deed",
        "facts",
        "fields",
        "is_overdue",
        "leaving",
        "limits",
        "method",
        "path",
        "principal",
        "receive",
        "received_bytes",
        "request_id",
        "route",
        "scope",
        "send",
        "sent_bytes",
        "since",
        "started",
        "status",
        "stop",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        path: bytes,
        fields: Mapping[bytes, bytes],
        request_id: bytes,
        bounds: Bounds,
        since: float = 0.0,
        facts: dict[str, Any] | None = None,
        leaving: Leaving | None = None,
    ) -> None:
        self.leaving = leaving
        self.facts = {} if facts is None else facts
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.path = path
        self.fields = fields
        self.request_id = request_id
        self.bounds = bounds
        self.since = since
        self.stop: Callable[[], None] | None = None
        self.is_overdue = False
        self.principal: Principal | None = None
        self._tenant_id: TenantId | None = None
        self.limits: Limits | None = None
        self.allowance: tuple[int, int] | None = None
        self.status = 0
        self.code = ""
        self.route = ""
        self.deed: tuple[str, Mapping[str, Any]] | None = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self.started = False
        self.body_asked = False
        self.body_done = False

    @property
    def tenant_id(self) -> TenantId | None:
        """The tenant that it acts for, once that is known."""
        return self._tenant_id

    @tenant_id.setter
    def tenant_id(self, tenant_id: TenantId) -> None:
        # Here, because no call that acts for a tenant gets by without saying so.
        if self.limits is not None and self._tenant_id is None:
            self.limits.admit_tenant(self, tenant_id)
        self._tenant_id = tenant_id
        self.facts["tenant_id"] = str(tenant_id)  # a plain one, for JSON

    @property
    def caller(self) -> Principal:
        """The authenticated caller. Only for paths that the front authenticates."""
        assert self.principal is not None, "this path is not authenticated"
        return self.principal

    @property
    def has_unread_body(self) -> bool:
        """Whether the client may still be sending a body that nobody has read to its end."""
        if self.body_done:
            return False
        length = self.fields.get(b"content-length")
        return b"transfer-encoding" in self.fields if length is None else length != b"0"

    @property
    def waits_to_continue(self) -> bool:
        """Whether the client sends its body only once it is told to."""
        return self.fields.get(b"expect", b"").lower() == b"100-continue"

    @property
    def is_carrying(self) -> bool:
        """Whether a body is on its way, in or out: its time has limits of its own."""
        return self.started or (self.body_asked and not self.body_done)

    def may_take_long(self) -> None:
        """It moves bytes: it takes as long as they do."""
        self.since = _NEVER

    def did(self, action: str, **facts: Any) -> None:
        """Note a change that is durable, for the audit log; before the answer, which may fail."""
        self.deed = action, facts

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head. `headers` is the callee's from now on, and gets the request id.

        Raises:
            ClientGone: The request took too long, and has been answered so.
        """
        if self.started:
            raise ClientGone
        headers.append((b"x-request-id", self.request_id))
        if self.limits is not None:
            headers += self.limits.headers(self)
        if self.leaving is not None and self.leaving.begun:
            self._ask_to_close(headers)
        self.status = status
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    def _ask_to_close(self, headers: Headers) -> None:
        # A kept connection that is closed from here may have a request on its way already; one that
        # the client gives up has none. HTTP/2 has no such field.
        is_http1 = self.scope.get("http_version", "1.1").startswith("1")
        if is_http1 and (b"connection", b"close") not in headers:
            headers.append((b"connection", b"close"))

    async def send_body(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        self.sent_bytes += len(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Send a whole answer; for HEAD the head that GET would get. 204 and 304 have no body."""
        if status not in {204, 304}:
            headers.append((b"content-length", b"%d" % len(body)))
        await self.start(status, headers)
        await self.send_body(b"" if self.method == "HEAD" else body, more=False)
