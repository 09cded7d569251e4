"""AuditRepository: who changed what, recorded in the transaction of the change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import msgspec

__all__ = ["AUDIT_NOBODY", "Actor", "AuditEvent", "AuditRepository", "acting"]


class Actor(msgspec.Struct, frozen=True, gc=False):
    """In whose name a change is made, and under which request id; None where there is none."""

    subject: str | None
    request_id: str | None


AUDIT_NOBODY: Final = Actor(None, None)
"""The service itself: collectors and other background work."""

acting: Final[ContextVar[Actor]] = ContextVar("acting", default=AUDIT_NOBODY)
"""Set by whoever calls for somebody; stores that keep an audit table read it in the caller's task.

Not an argument of every method: it decides nothing, and most stores never look at it.
"""


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change that has happened.

    Args:
        id: Ascending in the order of recording, which within a moment may differ from that of
            commits.
        at: The store's clock.
        action: `object.created`, `object.changed`, `object.deleted`, `api_key.created`,
            `api_key.changed`, `api_key.revoked`. A replacement is a deletion and a creation under
            one request id.
        subject, request_id: Of the `Actor`.
        tenant_id, namespace: Of an object; None for API keys.
        target: The id of the object or key.
        details: For objects `content_hash` and `storage_class`; for keys `name`, `scopes`,
            `is_active` as they are now.
    """

    id: int
    at: datetime
    action: str
    subject: str | None
    request_id: str | None
    tenant_id: str | None
    namespace: str | None
    target: str
    details: dict[str, Any]


class AuditRepository(ABC):
    """The audit table. See `MetadataStore` for what holds for every method.

    Rows are only added, by the store itself, where it was opened with `OpenContext.audit`: in the
    same transaction as the change, so there is none without the other. Nobody changes or removes
    one through this interface, and where it can the store refuses it to others as well.
    """

    @abstractmethod
    async def page(self, *, after: int, limit: int) -> list[AuditEvent]:
        """Events by ascending id behind `after`; 0 begins."""
