"""FindObject: what a caller may see of one object."""

from __future__ import annotations

from collections.abc import Collection

from juststorage.domain import (
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    StoredObject,
    TenantId,
    is_within,
)
from juststorage.errors import NotFound
from juststorage.ports import MetadataStore

__all__ = ["FindObject"]


class FindObject:
    """Looks up one COMMITTED object of a tenant. Cost: one (gathered) statement."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._objects = metadata.objects

    async def by_id(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> StoredObject:
        """The object with this id.

        Args:
            tenant_id: Whose it must be.
            object_id: Which one.
            namespaces: Those that the caller may see, or prefixes of them; None for all.

        Raises:
            NotFound: It is not there, not visible, another tenant's, or in another namespace: the
                answer is the same for all of them.
        """
        found = await self._objects.find(tenant_id, object_id)
        if found is None or not is_within(found.namespace, namespaces):
            raise NotFound("there is no such object")
        return found

    async def by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> StoredObject:
        """The object that holds the key.

        Raises:
            NotFound: Nothing does.
        """
        found = await self._objects.find_by_key(tenant_id, namespace, key)
        if found is None:
            raise NotFound("there is no such object")
        return found
