"""Guards: what stands between core and a backend that someone else wrote.

A guard is an instance of the same port that hands every call on, and promises what the port
promises: no exception outside `juststorage.errors` (and no swallowed cancellation), no operation
that the backend does not declare, and bytes that add up.

The methods are not written by hand: a guard class takes them from the port that it implements, so
that a method added to a port is guarded the moment it exists. By hand is only what checks more.
"""

from __future__ import annotations

from datetime import datetime

from juststorage.domain import Principal
from juststorage.plugins._blob_guards import BlobStoreGuard  # noqa: F401  which registers it
from juststorage.plugins._guarding import Closing, Guard, Where, guard, guarded_parts, unwrap
from juststorage.ports import (
    ApiKeyRepository,
    AuditRepository,
    Authenticator,
    BackupRepository,
    BlobRepository,
    Credentials,
    Decision,
    GarbageCandidate,
    GCPolicy,
    Hasher,
    HashState,
    IdempotencyRepository,
    MetadataStore,
    ObjectRepository,
    Snapshot,
    TallyRepository,
    UsageRepository,
)

__all__ = ["Where", "guard", "guarded_parts", "unwrap"]


class _ObjectRepositoryGuard(Guard, ObjectRepository):
    pass


class _BlobRepositoryGuard(Guard, BlobRepository):
    pass


class _ApiKeyRepositoryGuard(Guard, ApiKeyRepository):
    pass


class _UsageRepositoryGuard(Guard, UsageRepository):
    pass


class _IdempotencyRepositoryGuard(Guard, IdempotencyRepository):
    pass


class _TallyRepositoryGuard(Guard, TallyRepository):
    pass


class _AuditRepositoryGuard(Guard, AuditRepository):
    pass


class _SnapshotGuard(Closing, Snapshot):
    pass


class _BackupRepositoryGuard(Guard, BackupRepository):
    pass


class _MetadataStoreGuard(Guard, MetadataStore):
    pass


class _HashStateGuard(Guard, HashState):
    pass


class _HasherGuard(Guard, Hasher):
    pass


class _GCPolicyGuard(Guard, GCPolicy):
    """An answer that is no decision must not be taken for one."""

    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        decision = self._call_now("decide", candidate, now)
        if not isinstance(decision, Decision):
            raise self._where.broken("decide", f"answered with a {type(decision).__name__}")
        return decision


class _AuthenticatorGuard(Guard, Authenticator):
    """An answer that is no principal must not be taken for one."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        principal = await self._call("authenticate", credentials)
        if principal is not None and not isinstance(principal, Principal):
            kind = type(principal).__name__
            raise self._where.broken("authenticate", f"answered with a {kind}")
        return principal
