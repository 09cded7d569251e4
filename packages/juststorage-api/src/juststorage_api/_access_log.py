"""One line for each request, once it is over."""

from __future__ import annotations

import logging

from juststorage.runtime import log_line
from juststorage_api._exchange import Exchange

__all__ = ["AccessLog"]


class AccessLog:
    """Writes to the logger `juststorage.access`; costs nothing where that is turned off.

    The record's fields are `method`, `path` (percent-encoded, without the query string, which may
    name keys), `status`, `code` (of a problem, else absent), `duration_ms`, `sent_bytes`,
    `received_bytes`, `request_id`, and `tenant_id` and `subject` once they are known.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("juststorage.access")

    def write(self, exchange: Exchange, seconds: float) -> None:
        """Log an exchange that took so long."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        duration_ms = seconds * 1000
        path = exchange.path.decode("ascii", "replace")
        fields: dict[str, object] = {
            "method": exchange.method,
            "path": path,
            "status": exchange.status,
            "duration_ms": round(duration_ms, 3),
            "sent_bytes": exchange.sent_bytes,
            "received_bytes": exchange.received_bytes,
            "request_id": exchange.request_id.decode("ascii"),
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
        log_line(logger, message, fields)
