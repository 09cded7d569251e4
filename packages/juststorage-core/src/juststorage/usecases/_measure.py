"""MeasureUsage: how much a tenant stores."""

from __future__ import annotations

from collections.abc import Collection

from juststorage.domain import NamespacePattern, TenantId
from juststorage.ports import MetadataStore, Usage

__all__ = ["MeasureUsage"]


class MeasureUsage:
    """Counts of a tenant's objects. Cost: one statement; physical bytes look at each object."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._usage = metadata.usage

    async def of(
        self,
        tenant_id: TenantId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
        physical: bool = True,
    ) -> Usage:
        """What the tenant has in these namespaces, or prefixes of them; None means all."""
        return await self._usage.of(tenant_id, namespaces=namespaces, physical=physical)
