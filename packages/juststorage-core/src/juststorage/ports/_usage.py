"""UsageRepository: how much a tenant stores, counted where it changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import datetime

import msgspec

from juststorage.domain import Namespace, NamespacePattern, StorageClass, TenantId

__all__ = [
    "Totals",
    "TotalsPart",
    "Usage",
    "UsageDrift",
    "UsagePart",
    "UsageRecount",
    "UsageRepository",
]


class UsagePart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one namespace has in one storage class: COMMITTED objects and their bytes.

    Args:
        logical_bytes: The sizes of the objects, each in full.
        physical_bytes: Each content once, as if this were all there is; None when not asked for.
    """

    namespace: Namespace
    storage_class: StorageClass
    objects: int
    logical_bytes: int
    physical_bytes: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has in the asked namespaces.

    Args:
        parts: By namespace and storage class, in this order; none of them empty.
        physical_bytes: Each (content, class) once, in however many namespaces it is; None when not
            asked for.
    """

    parts: list[UsagePart]
    physical_bytes: int | None = None

    @property
    def objects(self) -> int:
        """All objects."""
        return sum(part.objects for part in self.parts)

    @property
    def logical_bytes(self) -> int:
        """The sizes of all objects."""
        return sum(part.logical_bytes for part in self.parts)


class UsageDrift(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A count that differs from the objects that there are."""

    namespace: Namespace
    storage_class: StorageClass
    recorded_objects: int
    recorded_bytes: int
    actual_objects: int
    actual_bytes: int


class UsageRecount(msgspec.Struct, frozen=True):
    """One tenant, counted anew."""

    tenant_id: TenantId
    drifts: list[UsageDrift]


class TotalsPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the whole store has in one storage class.

    Args:
        objects, logical_bytes: COMMITTED objects of all tenants, and their sizes.
        blobs, physical_bytes: Blob rows, garbage included, and their sizes; None when not asked
            for.
    """

    storage_class: StorageClass
    objects: int = 0
    logical_bytes: int = 0
    blobs: int | None = None
    physical_bytes: int | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole store has.

    Args:
        tenants: Those that have an object.
        parts: One for each storage class, in the order of their names.
        garbage_since: Since when the oldest blob without references has had none; None where every
            blob has one.
    """

    tenants: int
    parts: list[TotalsPart]
    garbage_since: datetime | None = None


class UsageRepository(ABC):
    """Counts of COMMITTED objects. See `MetadataStore` for what holds for every method.

    The counts change in the transactions that change the objects (commit, replacement, move,
    delete), and no row of them is written by every such transaction: uploads of one tenant never
    wait for each other because of it.
    """

    @abstractmethod
    async def of(
        self,
        tenant_id: TenantId,
        *,
        namespaces: Collection[NamespacePattern] | None = None,
        physical: bool = True,
    ) -> Usage:
        """What the tenant has in these namespaces, or prefixes of them; None means all.

        Exact: every transaction that has committed is counted, and none that has not. Objects and
        logical bytes cost the same however many objects there are; physical bytes look at each.
        """

    @abstractmethod
    async def totals(self, *, physical: bool) -> Totals:
        """What all tenants have together: for those who run the service, not for clients.

        Exact, as `of` is. Without `physical` it costs as much as there are tenants and namespaces,
        however many objects there are; with it, every blob row is looked at, in the background and
        by one process at a time: a store gives that as long as it takes, 10 minutes at most.
        """

    @abstractmethod
    async def fold(self, *, limit: int) -> int:
        """Put up to `limit` single changes together, so that `of` has fewer of them to add up.

        Changes no count. Any number of processes may do it at once.

        Returns:
            How many there were; 0 ends the work.
        """

    @abstractmethod
    async def recount(self, *, after: TenantId | None, repair: bool) -> UsageRecount | None:
        """Compare the counts of the next tenant behind `after`, in one snapshot.

        With `repair`, set them to what is true. No false alarm next to running uploads.

        Returns:
            None when there is no further tenant.
        """
