"""ObjectRepository: the life of objects, one transaction a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import msgspec

from juststorage.domain import (
    UNCHANGED,
    UNCONDITIONAL,
    BlobKey,
    Change,
    Conditions,
    ContentHash,
    IdempotencyKey,
    Locator,
    Namespace,
    NamespacePattern,
    NewObject,
    ObjectId,
    ObjectKey,
    Page,
    Query,
    StoredObject,
    TenantId,
)

__all__ = ["Committed", "Content", "Lease", "ObjectRepository", "Reservation", "UploadIntent"]


class Content(msgspec.Struct, frozen=True, gc=False):
    """The name and size of bytes."""

    content_hash: ContentHash
    size_bytes: int


class UploadIntent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an upload means to do to its key.

    Args:
        new: The object that it wants to become.
        replace: False claims the key at begin (POST); True claims nothing and takes the key over at
            commit from whoever has it (PUT). Means nothing without a key.
        conditions: On what holds the key now; checked at begin, where they spare the body, and
            again in the committing transaction, where they count.
        idempotency: The client's key for this request. It stands for this upload from begin on,
            and for its answer from commit on; see `IdempotencyRepository`.
    """

    new: NewObject
    replace: bool = False
    conditions: Conditions = UNCONDITIONAL
    idempotency: IdempotencyKey | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The right to finish one upload. Whoever holds another epoch has lost it."""

    intent: UploadIntent
    object: StoredObject
    epoch: int


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A lease whose object holds a reference to its blob.

    `locator` is where the blob is durable already; None means that this upload places its bytes.
    """

    lease: Lease
    locator: Locator | None


class Committed(msgspec.Struct, frozen=True, gc=False):
    """An object that clients see now.

    Args:
        object: As committed. Its `locator` is the blob's: another upload of the same bytes may have
            come first, and then it is not the one that this upload placed.
        replaced: The object that held the key until now, if any.
        is_repeated: An earlier request has done this, and this one nothing. Use cases say so, never
            stores.
    """

    object: StoredObject
    replaced: ObjectId | None = None
    is_repeated: bool = False


class ObjectRepository(ABC):
    """Objects and their references. See `MetadataStore` for what holds for every method."""

    # -- upload -------------------------------------------------------------------------------

    @abstractmethod
    async def begin(self, intent: UploadIntent, *, lease_s: float) -> Lease:
        """Insert the object WRITING, with a lease of `lease_s` seconds.

        Without `replace`, the object claims its key. The key's holder is a COMMITTED object or a
        WRITING one that claims it; a holder whose lease is over is taken over, as the reaper would
        (DELETED, epoch + 1, its reference released).

        Raises:
            IdempotencyMismatch: The idempotency key stands for another request.
            IdempotencyInFlight: It stands for this one, which is under way, or has been answered
                since the caller has looked. Both are judged before all else; an upload whose lease
                is over is ended, as the reaper would.
            PreconditionFailed: The conditions do not hold for the COMMITTED holder of the key.
            KeyConflict: The key is held, and this upload does not replace. Carries `object_id` and
                `content_hash` of the holder. Conditions are judged first.
        """

    @abstractmethod
    async def reserve(self, lease: Lease, content: Content) -> Reservation:
        """Count on the blob: from here no collector can take it.

        Upserts the blob row (ref_count + 1, zero_since and claim cleared) and records hash and size
        in the object, guarded by status and epoch. Counted once: to reserve the same content again
        changes nothing, and says where the blob is durable by now.

        Raises:
            UploadExpired: The lease was lost.
            InvalidState: The upload has reserved other content.
        """

    @abstractmethod
    async def begin_reserved(
        self, intent: UploadIntent, content: Content, *, lease_s: float
    ) -> Reservation | Committed:
        """`begin` and `reserve` in one transaction, for content known beforehand.

        When the blob is durable already the object is committed at once, in the same transaction,
        with everything that `commit` does; no byte needs to move.

        Raises:
            IdempotencyMismatch, IdempotencyInFlight, PreconditionFailed, KeyConflict: As `begin`.
        """

    @abstractmethod
    async def commit(self, lease: Lease, locator: Locator) -> Committed:
        """Make a reserved object visible, its bytes being durable at `locator`.

        Sets the blob's stored_at and locator unless they are set. With `replace`, the key's
        COMMITTED holder goes DELETING and releases its reference, and a WRITING claim of another
        upload is dropped. With `idempotency`, the answer is kept, and comes from the row, whatever
        the lease says of the object. Guarded by status and epoch.

        Raises:
            UploadExpired: The lease, or the claim on the key, was lost.
            PreconditionFailed: The conditions do not hold now.
        """

    @abstractmethod
    async def renew(self, lease: Lease, *, lease_s: float) -> None:
        """Extend the lease to `lease_s` seconds from now.

        Raises:
            UploadExpired: The lease was lost; the upload must stop.
        """

    @abstractmethod
    async def abort(self, lease: Lease) -> None:
        """WRITING -> DELETED, reference and key released. A lost lease is fine: nothing to do."""

    # -- read ---------------------------------------------------------------------------------

    @abstractmethod
    async def find(self, tenant_id: TenantId, object_id: ObjectId) -> StoredObject | None:
        """The tenant's COMMITTED object with this id, its blob's locator included, or None."""

    @abstractmethod
    async def find_by_key(
        self, tenant_id: TenantId, namespace: Namespace, key: ObjectKey
    ) -> StoredObject | None:
        """The COMMITTED object that holds the key, its blob's locator included, or None."""

    @abstractmethod
    async def page(self, query: Query) -> Page:
        """One page of COMMITTED objects; `locator` may be None in them.

        Keyset pagination: an object that is there during the whole walk is seen exactly once, and a
        page costs the same at any depth. Ascending, objects without a key come last when sorting by
        key; descending is the exact reverse.
        """

    # -- change -------------------------------------------------------------------------------

    @abstractmethod
    async def update(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        change: Change,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        """Change key, content type or metadata of a COMMITTED object; sets updated_at.

        Raises:
            NotFound: No such COMMITTED object.
            PreconditionFailed: The conditions do not hold.
            KeyConflict: Another object holds the new key.
            InvalidMetadata: The merged metadata breaks a rule.
        """

    @abstractmethod
    async def commit_move(
        self,
        lease: Lease,
        locator: Locator,
        *,
        object_id: ObjectId,
        change: Change = UNCHANGED,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        """Give a reserved upload's reference to a COMMITTED object of the same content.

        How an object changes its storage class: an upload without a key reserves and places a copy
        in the other class, then this hands the reference over (storage class, blob, updated_at),
        releases the old one, ends the upload as DELETED and makes `change`, in one transaction.

        Raises:
            UploadExpired: The lease was lost.
            NotFound: The object of that id is not COMMITTED, or not of the lease's tenant.
            PreconditionFailed: The conditions do not hold.
            InvalidState: The content hashes differ.
            KeyConflict, InvalidMetadata: As `update`.
        """

    # -- delete -------------------------------------------------------------------------------

    @abstractmethod
    async def delete(
        self,
        tenant_id: TenantId,
        object_id: ObjectId,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        """COMMITTED -> DELETING: invisible, key free, reference released.

        Raises:
            NotFound: No such COMMITTED object.
            PreconditionFailed: The conditions do not hold.
        """

    @abstractmethod
    async def delete_by_key(
        self,
        tenant_id: TenantId,
        namespace: Namespace,
        key: ObjectKey,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> StoredObject:
        """`delete` of the COMMITTED object that holds the key.

        Raises:
            NotFound: Nothing holds the key, and `if_match` was not asked for.
            PreconditionFailed: The conditions do not hold; `if_match` never holds for nothing.
        """

    @abstractmethod
    async def delete_many(
        self,
        tenant_id: TenantId,
        object_ids: Sequence[ObjectId],
        *,
        namespaces: Collection[NamespacePattern] | None = None,
    ) -> set[ObjectId]:
        """`delete` of many at once; ids that are not there, or not in `namespaces`, are left out.

        Returns:
            The ids that were deleted by this call.
        """

    # -- housekeeping -------------------------------------------------------------------------

    @abstractmethod
    async def reap(self, *, limit: int) -> list[ObjectId]:
        """WRITING with a lease that is over -> DELETED, epoch + 1, reference and key released.

        Returns:
            The upload ids, up to `limit`; what they staged may go.
        """

    @abstractmethod
    async def expired(self, *, older_than_s: float, limit: int) -> list[ObjectId]:
        """WRITING objects whose lease was over that many seconds ago: what the reaper missed."""

    @abstractmethod
    async def live_uploads(self, upload_ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Those of the ids that are WRITING, lease over or not: their staging must stay."""

    @abstractmethod
    async def bury(self, *, limit: int) -> int:
        """DELETING -> DELETED for objects whose blob row lives on for others, or is gone.

        (`BlobRepository.remove` does it for the objects of the blobs that it removes.)

        Returns:
            How many, up to `limit`.
        """

    @abstractmethod
    async def purge_tombstones(self, *, older_than_s: float, limit: int) -> int:
        """Delete DELETED rows that were last changed longer ago.

        Returns:
            How many, up to `limit`.
        """

    @abstractmethod
    async def holders(self, key: BlobKey, *, limit: int) -> list[StoredObject]:
        """Up to `limit` COMMITTED objects of any tenant that hold the blob, by ascending id.

        For the auditor, which says whose bytes are lost.
        """

    @abstractmethod
    async def scan(self, *, after: ObjectId | None, limit: int) -> list[StoredObject]:
        """Every object in every state of every tenant, by ascending id, for the auditor.

        `locator` is the blob's for COMMITTED objects. An empty list ends the walk.
        """
