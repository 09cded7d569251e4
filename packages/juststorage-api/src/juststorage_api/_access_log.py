"""One line for each request, once it is over."""

from __future__ import annotations

import logging
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from juststorage.runtime import Line, line_handler, log_line
from juststorage_api._exchange import Exchange
from juststorage_api._http.path import logged

__all__ = ["AccessLog"]

Facts: TypeAlias = tuple[str, bytes, int, float, int, int, dict[str, Any], str, str | None]
"""Method, path, status, seconds, bytes sent and received, facts of the exchange, code, subject."""


class _Fields(msgspec.Struct, gc=False):
    """The fields of a line where there are no others: made and encoded in half the time."""

    method: str
    path: str
    status: int
    duration_ms: float
    sent_bytes: int
    received_bytes: int
    code: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    worker: int | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    trace_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


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
        self._handler = line_handler(self._logger)

    def write(self, exchange: Exchange, seconds: float) -> None:
        """Log an exchange that took so long."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        if self._ratio < 1 and self._is_left_out(exchange.status):
            return
        principal = exchange.principal
        facts: Facts = (
            exchange.method,
            exchange.path,
            exchange.status,
            seconds,
            exchange.sent_bytes,
            exchange.received_bytes,
            exchange.facts,
            exchange.code,
            None if principal is None else principal.subject,
        )
        handler = self._handler
        if handler is None or not handler.waits:
            # Looked up once for all lines that wait together: it is a walk along the loggers.
            handler = self._handler = line_handler(logger)
        if handler is None:
            log_line(logger, *_told(facts))
        else:
            handler.later(_formed, facts)

    def _is_left_out(self, status: int) -> bool:
        if not 0 < status < 400:
            return False
        # Not by chance: of a hundred requests exactly as many are written as the ratio says.
        self._owed += self._ratio
        if self._owed < 1:
            return True
        self._owed -= 1
        return False


def _formed(stamp: str, facts: Facts) -> Line:
    """The line as JSON is to have it."""
    method, raw, status, seconds, sent, received, more, code, subject = facts
    path = logged(raw)
    ms = seconds * 1000
    message = f"{method} {path} {status} {sent} bytes {ms:.1f} ms"
    fields: Any
    try:
        fields = _Fields(
            method,
            path,
            status,
            round(ms, 3),
            sent,
            received,
            code or UNSET,
            UNSET if subject is None else subject,
            **more,
        )
    except TypeError:  # whoever runs us has more to say
        message, fields = _told(facts)
    return Line(stamp, "INFO", "juststorage.access", message, fields)


def _told(facts: Facts) -> tuple[str, dict[str, Any]]:
    """The message and the fields of a record."""
    method, raw, status, seconds, sent, received, more, code, subject = facts
    path = logged(raw)
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "sent_bytes": sent,
        "received_bytes": received,
        **more,
    }
    if code:
        fields["code"] = code
    if subject is not None:
        fields["subject"] = subject
    return f"{method} {path} {status} {sent} bytes {seconds * 1000:.1f} ms", fields
