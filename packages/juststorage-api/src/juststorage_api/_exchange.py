"""One request and its answer, as the front and the data handlers pass it around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from juststorage.domain import Principal, TenantId
from juststorage_api._asgi import Receive, Scope, Send
from juststorage_api._http.problem import Headers

__all__ = ["ClientGone", "Exchange"]


class ClientGone(Exception):
    """The client has closed the connection: nobody is left to answer."""


class Exchange:
    """A request under way.

    Slots and plain attributes, because one is made for every request. What the access log tells is
    collected here: `status`, `code`, `tenant_id`, `sent_bytes`, `received_bytes`.
    """

    __slots__ = (
        "body_asked",
        "body_done",
        "code",
        "deed",
        "fields",
        "method",
        "path",
        "principal",
        "receive",
        "received_bytes",
        "request_id",
        "scope",
        "send",
        "sent_bytes",
        "started",
        "status",
        "tenant_id",
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
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.path = path
        self.fields = fields
        self.request_id = request_id
        self.principal: Principal | None = None
        self.tenant_id: TenantId | None = None
        self.status = 0
        self.code = ""
        self.deed: tuple[str, Mapping[str, Any]] | None = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self.started = False
        self.body_asked = False
        self.body_done = False

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

    def did(self, action: str, **facts: Any) -> None:
        """Note a change that is durable, for the audit log; before the answer, which may fail."""
        self.deed = action, facts

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head. `headers` is the callee's from now on, and gets the request id."""
        headers.append((b"x-request-id", self.request_id))
        self.status = status
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

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
