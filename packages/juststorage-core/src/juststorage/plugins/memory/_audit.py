"""The audit table, as long as the process lives."""

from __future__ import annotations

from typing import Any

from anyio.lowlevel import checkpoint

from juststorage.domain import ApiKey, ObjectStatus, StoredObject
from juststorage.ports import AuditEvent, AuditRepository, Clock, acting

__all__ = ["MemoryAuditRepository"]


class MemoryAuditRepository(AuditRepository):
    """See `AuditRepository`.

    Args:
        clock: For `at`.
        enabled: False records nothing.
    """

    def __init__(self, clock: Clock, *, enabled: bool) -> None:
        self._clock = clock
        self._enabled = enabled
        self._events: list[AuditEvent] = []

    async def page(self, *, after: int, limit: int) -> list[AuditEvent]:
        await checkpoint()
        return [event for event in self._events if event.id > after][:limit]

    def all(self) -> list[AuditEvent]:
        """Every event, by ascending id."""
        return list(self._events)

    def put_back(self, event: AuditEvent) -> None:
        """Add an event as it was, unless one with its id is there."""
        if all(each.id != event.id for each in self._events):
            self._events.append(event)
            self._events.sort(key=lambda each: each.id)

    def object_became(self, before: StoredObject, now: StoredObject) -> None:
        """Record what that means, if it means anything to clients."""
        was, is_ = (each.status is ObjectStatus.COMMITTED for each in (before, now))
        if not (was or is_):
            return
        action = "object.changed" if was and is_ else "object.created" if is_ else "object.deleted"
        self._add(
            action,
            now.id,
            {"content_hash": str(now.content_hash), "storage_class": str(now.storage_class)},
            tenant_id=str(now.tenant_id),
            namespace=str(now.namespace),
        )

    def key_became(self, before: ApiKey | None, now: ApiKey) -> None:
        """The same for an API key."""
        if before == now:
            return
        is_revoked = before is not None and before.is_active and not now.is_active
        action = "created" if before is None else "revoked" if is_revoked else "changed"
        details = {"name": now.name, "scopes": sorted(now.scopes), "is_active": now.is_active}
        self._add(f"api_key.{action}", now.id, details)

    def _add(
        self,
        action: str,
        target: str,
        details: dict[str, Any],
        *,
        tenant_id: str | None = None,
        namespace: str | None = None,
    ) -> None:
        if not self._enabled:
            return
        actor = acting.get()
        self._events.append(
            AuditEvent(
                id=self._events[-1].id + 1 if self._events else 1,
                at=self._clock.now(),
                action=action,
                subject=actor.subject,
                request_id=actor.request_id,
                tenant_id=tenant_id,
                namespace=namespace,
                target=str(target),
                details=details,
            )
        )
