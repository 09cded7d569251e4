"""One line for each request, once it is over."""

from __future__ import annotations

import logging

from juststorage.runtime import log_line
from juststorage_api._exchange import Exchange
from juststorage_api._http.path import logged

__all__ = ["AccessLog"]


class AccessLog:
    """Writes to the logger `juststorage.access`; costs nothing where that is turned off.

    The record's fields are `method`, `path` (percent-encoded, without the query string, which may
    name keys), `status`, `code` (of a problem, else absent), `duration_ms`, `sent_bytes`,
    `received_bytes`, `request_id`, and where they are known `trace_id`, `tenant_id` and `subject`.

    Args:
        ratio: The share of requests that went well which are written; all others always are.
    """

    def __init__(self, ratio: float = 1.0) -> None:
        self._ratio = ratio
        self._owed = 0.0
        self._logger = logging.getLogger("juststorage.access")

    def write(self, exchange: Exchange, seconds: float) -> None:
        """Log an exchange that took so long."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        if self._ratio < 1 and self._is_left_out(exchange.status):
            return
        duration_ms = seconds * 1000
        path = logged(exchange.path)
        fields: dict[str, object] = {
            "method": exchange.method,
            "path": path,
            "status": exchange.status,
            "duration_ms": round(duration_ms, 3),
            "sent_bytes": exchange.sent_bytes,
            "received_bytes": exchange.received_bytes,
            **exchange.facts,
        }
        if exchange.code:
            fields["code"] = exchange.code
        if exchange.principal is not None:
            fields["subject"] = exchange.principal.subject
        message = (
            f"{exchange.method} {path} {exchange.status} {exchange.sent_bytes} bytes"
            f" {duration_ms:.1f} ms"
        )
        log_line(logger, message, fields)

    def _is_left_out(self, status: int) -> bool:
        if not 0 < status < 400:
            return False
        # Not by chance: of a hundred requests exactly as many are written as the ratio says.
        self._owed += self._ratio
        if self._owed < 1:
            return True
        self._owed -= 1
        return False
