"""The front of a service that is traced: a span around each request.

A class of its own, so that a front without tracing has not even a question in its way.
"""

from __future__ import annotations

from typing import Final

from juststorage.ports import Tracer
from juststorage_api._asgi import Receive, Scope, Send
from juststorage_api._exchange import Exchange
from juststorage_api._front import Front
from juststorage_api._http.path import logged
from juststorage_api._meters import METHODS, UNMATCHED, template_of
from juststorage_api._routes import Routes
from juststorage_api._services import Services

__all__ = ["TracedFront"]

_EXCHANGE: Final = "juststorage.exchange"
"""Where a request's scope carries its exchange from the inner call to the outer."""

_CONTEXT: Final = frozenset({b"traceparent", b"tracestate"})
_PROBES: Final = frozenset({"/health", "/health/ready", "/health/startup", "/metrics"})
"""Asked for all the time, by machines: they have a span only in a caller's trace."""


class TracedFront(Front):
    """See `Front`. Names and attributes of the spans are those of OpenTelemetry for HTTP servers.

    The query string is left out, as in the access log, and so are all header fields.
    """

    def __init__(self, services: Services, routes: Routes, tracer: Tracer) -> None:
        super().__init__(services, routes)
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _CONTEXT
        }
        if scope["path"] in _PROBES and not carrier:
            await super().__call__(scope, receive, send)
            return
        # All that there is to say is said at the end: most requests are not collected.
        with self._tracer.span("HTTP", kind="server", begins=True, carrier=carrier):
            try:
                await super().__call__(scope, receive, send)
            finally:
                if self._tracer.here() is not None:
                    self._note(scope[_EXCHANGE])

    async def _serve(self, exchange: Exchange) -> None:
        exchange.scope[_EXCHANGE] = exchange
        trace_id = self._tracer.trace_id()
        if trace_id is not None:
            # Not only a caller's: whoever finds a line finds the trace, and the other way round.
            exchange.facts["trace_id"] = trace_id
        await super()._serve(exchange)

    def _note(self, exchange: Exchange) -> None:
        method = exchange.method if exchange.method in METHODS else "_OTHER"
        about: dict[str, str | int] = {
            "http.request.method": method,
            "http.request.body.size": exchange.received_bytes,
            "http.response.body.size": exchange.sent_bytes,
            "juststorage.request_id": exchange.request_id.decode("ascii"),
            "network.protocol.version": exchange.scope.get("http_version", "1.1"),
            "url.path": logged(exchange.path),
            "url.scheme": exchange.scope.get("scheme", "http"),
        }
        name = "HTTP" if method == "_OTHER" else method
        route = template_of(exchange.path)
        if route != UNMATCHED:
            about["http.route"] = route
            name += f" {route}"
        if exchange.tenant_id is not None:
            about["juststorage.tenant_id"] = str(exchange.tenant_id)
        if exchange.code:
            about["juststorage.code"] = exchange.code
        failed = None
        if exchange.status:
            about["http.response.status_code"] = exchange.status
            # Or it was cut off after a good beginning.
            if exchange.status >= 500 or (exchange.code and exchange.status < 400):
                failed = exchange.code or str(exchange.status)
        else:
            about["error.type"] = "client_gone"
        self._tracer.note(about, name=name, failed=failed)
