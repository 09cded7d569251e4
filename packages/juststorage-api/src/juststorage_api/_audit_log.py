"""Who changed what, and who was refused: a trail of its own, beside the access log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from juststorage.errors import ReadOnly
from juststorage.runtime import log_line
from juststorage_api._exchange import Exchange
from juststorage_api._http.path import logged

__all__ = ["AuditLog"]

_REFUSED: Final = frozenset({401, 403, 429})
_CHANGING: Final = frozenset({"DELETE", "PATCH", "POST", "PUT"})
_KEYS: Final = b"/v1/api-keys"
_SEARCH: Final = b"/v1/objects/search"


class AuditLog:
    """Writes to the logger `juststorage.audit`, whatever level the log has.

    Every event has `action`, `outcome`, `subject`, `tenant_id` (null where unknown), `request_id`
    and `peer`. Outcomes:

    - `done`: the change that `action` names (`object.created`, `object.replaced`, `object.changed`,
      `object.deleted`, `upload.given_up`, `api_key.created`, `api_key.changed`, `api_key.revoked`)
      is durable, also where its answer did not arrive, or read-only mode was switched
      (`service.read_only`). What was changed is in further fields.
    - `refused`: nothing happened; `code` says why. 401, 403 and 429 of any call, every 4xx of calls
      about API keys, and changes in read-only mode.
    - `unknown`: a change was asked for, and failed in the service (5xx) or was broken off. 501 is
      neither: what the service cannot do it did not begin.

    Args:
        enabled: False writes nothing.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._logger = logging.getLogger("juststorage.audit")
        self._enabled = enabled
        if enabled:
            self._logger.setLevel(logging.INFO)

    def write(self, exchange: Exchange) -> None:
        """Write what is to be told about an exchange that is over, if anything is."""
        if not self._enabled:
            return
        deed, status = exchange.deed, exchange.status
        if deed is not None:
            self._event(exchange, deed[0], "done", deed[1])
        elif 0 < status < 400:
            return
        elif (
            status in _REFUSED
            or (400 <= status < 500 and exchange.path.startswith(_KEYS))
            or exchange.code == ReadOnly.code
        ):
            self._event(exchange, "request", "refused", _request(exchange))
        elif (status == 0 or status >= 500) and status != 501 and _is_change(exchange):
            self._event(exchange, "request", "unknown", _request(exchange))

    def _event(
        self, exchange: Exchange, action: str, outcome: str, facts: Mapping[str, Any]
    ) -> None:
        client = exchange.scope.get("client")
        caller, facts_of_all = exchange.principal, exchange.facts
        fields = {
            "action": action,
            "outcome": outcome,
            "subject": None if caller is None else caller.subject,
            "tenant_id": None,
            **facts_of_all,
            "peer": client[0] if client else None,
            **facts,
        }
        log_line(self._logger, f"{action} {outcome}", fields)


def _request(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "path": logged(exchange.path),
        "status": exchange.status,
        "code": exchange.code or None,
    }


def _is_change(exchange: Exchange) -> bool:
    path = exchange.path
    return exchange.method in _CHANGING and path.startswith(b"/v1/") and path != _SEARCH
