"""I12: what is counted for a tenant is what it has. Repair counts anew."""

from __future__ import annotations

from collections.abc import AsyncIterator

from juststorage.domain import TenantId
from juststorage.ports import UsageRepository
from juststorage.usecases._finding import Finding

__all__ = ["audit_usage"]


async def audit_usage(usage: UsageRepository, *, repair: bool) -> AsyncIterator[Finding]:
    """Every count that is wrong, tenant by tenant. Each is compared within one snapshot."""
    after: TenantId | None = None
    while (found := await usage.recount(after=after, repair=repair)) is not None:
        after = found.tenant_id
        for drift in found.drifts:
            yield Finding(
                invariant="I12",
                subject=f"{found.tenant_id}/{drift.namespace} {drift.storage_class}",
                detail=f"{drift.recorded_objects} objects of {drift.recorded_bytes} bytes are"
                f" counted, and there are {drift.actual_objects} of {drift.actual_bytes}",
                repaired=repair,
            )
