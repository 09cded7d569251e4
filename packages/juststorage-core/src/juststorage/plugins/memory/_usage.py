"""The usage repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from anyio.lowlevel import checkpoint

from juststorage.domain import (
    BlobKey,
    Namespace,
    NamespacePattern,
    ObjectStatus,
    StorageClass,
    StoredObject,
    TenantId,
    is_within,
)
from juststorage.plugins.memory._rows import Rows
from juststorage.ports import (
    Totals,
    TotalsPart,
    Usage,
    UsageDrift,
    UsagePart,
    UsageRecount,
    UsageRepository,
)

__all__ = ["MemoryUsageRepository"]


class MemoryUsageRepository(UsageRepository):
    """See `UsageRepository`. `Rows` counts; there is nothing to fold."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def of(
        self,
        tenant_id: TenantId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
        physical: bool = True,
    ) -> Usage:
        await checkpoint()
        held: dict[tuple[Namespace, BlobKey], int] = {}
        if physical:
            held = {
                (each.namespace, _blob_of(each)): each.size_bytes or 0
                for each in self._committed(tenant_id)
                if is_within(each.namespace, namespaces)
            }
        by_part = Counter[tuple[str, str]]()
        for (namespace, key), size in held.items():
            by_part[namespace, key.storage_class] += size
        parts = [
            UsagePart(
                namespace=namespace,
                storage_class=storage_class,
                objects=objects,
                logical_bytes=size,
                physical_bytes=by_part[namespace, storage_class] if physical else None,
            )
            for (owner, namespace, storage_class), (objects, size) in sorted(
                self._rows.usage.items()
            )
            if owner == tenant_id and objects and is_within(namespace, namespaces)
        ]
        once = {key: size for (_, key), size in held.items()}
        return Usage(parts=parts, physical_bytes=sum(once.values()) if physical else None)

    async def totals(self, *, physical: bool) -> Totals:
        await checkpoint()
        objects, sizes, tenants = Counter[str](), Counter[str](), set[TenantId]()
        for (tenant_id, _, storage_class), (count, size) in self._rows.usage.items():
            objects[storage_class] += count
            sizes[storage_class] += size
            if count:
                tenants.add(tenant_id)
        blobs = self._rows.blobs.values()
        parts = [
            TotalsPart(
                storage_class=each,
                objects=objects[each],
                logical_bytes=sizes[each],
                blobs=sum(blob.key.storage_class == each for blob in blobs) if physical else None,
                physical_bytes=(
                    sum(blob.size_bytes for blob in blobs if blob.key.storage_class == each)
                    if physical
                    else None
                ),
            )
            for each in sorted(StorageClass)
        ]
        unused = [blob.zero_since for blob in blobs if blob.zero_since is not None]
        return Totals(tenants=len(tenants), parts=parts, garbage_since=min(unused, default=None))

    async def fold(self, *, limit: int) -> int:
        await checkpoint()
        return 0

    async def recount(self, *, after: TenantId | None, repair: bool) -> UsageRecount | None:
        await checkpoint()
        usage = self._rows.usage
        tenants = {owner for owner, *_ in usage}
        tenants |= {row.object.tenant_id for row in self._rows.objects.values()}
        behind = sorted(each for each in tenants if after is None or each > after)
        if not behind:
            return None
        tenant_id = behind[0]
        actual = {name: (0, 0) for name in usage if name[0] == tenant_id}
        for each in self._committed(tenant_id):
            name = (tenant_id, each.namespace, each.storage_class)
            objects, size = actual.get(name, (0, 0))
            actual[name] = (objects + 1, size + (each.size_bytes or 0))
        drifts = [
            UsageDrift(
                namespace=name[1],
                storage_class=name[2],
                recorded_objects=recorded[0],
                recorded_bytes=recorded[1],
                actual_objects=counted[0],
                actual_bytes=counted[1],
            )
            for name, counted in sorted(actual.items())
            if (recorded := usage.get(name, (0, 0))) != counted
        ]
        if repair:
            usage.update(actual)
        return UsageRecount(tenant_id, drifts)

    def _committed(self, tenant_id: TenantId) -> Iterator[StoredObject]:
        for row in self._rows.of_tenant(tenant_id):
            if row.object.status is ObjectStatus.COMMITTED:
                yield row.object


def _blob_of(stored: StoredObject) -> BlobKey:
    assert stored.content_hash is not None
    return BlobKey(stored.content_hash, stored.storage_class)
