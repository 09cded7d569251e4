"""One line for each request, once it is over."""

from __future__ import annotations

import logging
from time import perf_counter

from juststorage.runtime import line_handler
from juststorage_api._exchange import Exchange

__all__ = ["AccessLog"]


class AccessLog:
    """Writes to the logger `juststorage.access`; costs nothing where that is turned off.

    The record's fields are `method`, `path` (percent-encoded, without the query string, which may
    name keys), `status`, `code` (of a problem, else absent), `duration_ms`, `sent_bytes`,
    `received_bytes`, and `tenant_id` and `subject` once they are known; the request's id comes
    from its context, as on every line of it.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("juststorage.access")

    def write(self, exchange: Exchange, began: float) -> None:
        """Log an exchange that began at `began`, by `perf_counter`."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        duration_ms = (perf_counter() - began) * 1000
        path = exchange.path.decode("ascii", "replace")
        fields: dict[str, object] = {
            "method": exchange.method,
            "path": path,
            "status": exchange.status,
            "duration_ms": round(duration_ms, 3),
            "sent_bytes": exchange.sent_bytes,
            "received_bytes": exchange.received_bytes,
        }
        if exchange.code:
            fields["code"] = exchange.code
        if exchange.tenant_id is not None:
            fields["tenant_id"] = str(exchange.tenant_id)  # a plain one, for JSON
        if exchange.principal is not None:
            fields["subject"] = exchange.principal.subject
        message = (
            f"{exchange.method} {path} {exchange.status} {exchange.sent_bytes} bytes"
            f" {duration_ms:.1f} ms"
        )
        handler = line_handler(logger)
        if handler is not None:
            fields["request_id"] = exchange.request_id.decode("ascii")
            handler.line(logger.name, message, fields)
            return
        # Not logger.info: it walks the stack for a file and a line that nobody asks for.
        nowhere = ("", 0)
        record = logger.makeRecord(
            logger.name, logging.INFO, *nowhere, message, (), None, extra=fields
        )
        logger.handle(record)
