"""DeleteObject: an object stops being visible; its bytes are the collector's business."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from juststorage.domain import (
    BULK_IDS_MAX,
    UNCONDITIONAL,
    Conditions,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    StoredObject,
    TenantId,
)
from juststorage.errors import Invalid
from juststorage.ports import MetadataStore
from juststorage.usecases._find import FindObject

__all__ = ["DeleteObject", "Deleted"]


class Deleted(msgspec.Struct, frozen=True):
    """What became of many ids, each of them once, in the order in which they were asked for.

    `missing` are those that were not there; a caller that may not see one is told the same.
    """

    deleted: list[ObjectId]
    missing: list[ObjectId]


class DeleteObject:
    """COMMITTED -> DELETING in one transaction: key free, reference released."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._objects = metadata.objects
        self._find = FindObject(metadata)

    async def by_id(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        conditions: Conditions = UNCONDITIONAL,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> StoredObject:
        """Delete the object with this id.

        Raises:
            NotFound: As `FindObject.by_id`.
            PreconditionFailed: The conditions do not hold.
        """
        if namespaces is not None:
            # An object never changes its namespace, so the look beforehand cannot go stale.
            await self._find.by_id(tenant_id, object_id, namespaces=namespaces)
        return await self._objects.delete(tenant_id, object_id, conditions=conditions)

    async def by_key(
        self,
        tenant_id: TenantId,
        namespace: Namespace,
        key: ObjectKey,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        """Delete the object that holds the key.

        Raises:
            NotFound: Nothing holds it.
            PreconditionFailed: The conditions do not hold.
        """
        return await self._objects.delete_by_key(tenant_id, namespace, key, conditions=conditions)

    async def many(
        self,
        tenant_id: TenantId,
        object_ids: Sequence[ObjectId],
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> Deleted:
        """Delete the objects with these ids, in one transaction; an id twice counts once.

        Raises:
            Invalid: There are more than 1000 ids.
        """
        if len(object_ids) > BULK_IDS_MAX:
            raise Invalid(f"ids: at most {BULK_IDS_MAX} at once")
        asked = list(dict.fromkeys(object_ids))
        if not asked:
            return Deleted([], [])
        gone = await self._objects.delete_many(tenant_id, asked, namespaces=namespaces)
        return Deleted(
            deleted=[each for each in asked if each in gone],
            missing=[each for each in asked if each not in gone],
        )
