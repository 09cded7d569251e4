"""BackupRepository: a whole state read at one instant, put back, and kept from collectors.

**Records** are what a state is made of, in terms of the domain and of no store: what one store
gives, another one takes. They come in an order in which they can be put back: API keys, blobs,
objects, the answers of idempotency keys, audit events. What is not among them is made anew: counts
of usage, tallies, the secrets that sign page cursors, uploads under way, tombstones; and the
switch of read-only mode is off in a store that was restored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeAlias

import msgspec

from juststorage.domain import (
    ApiKey,
    BlobKey,
    Locator,
    ObjectId,
    StoredObject,
    TenantId,
)
from juststorage.ports._audit import AuditEvent

__all__ = ["BackupRepository", "Hold", "Record", "SavedAnswer", "SavedBlob", "Snapshot"]


class SavedBlob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A blob that COMMITTED objects hold.

    Args:
        references: How many of them.
        locator: None as a snapshot gives it, because the place of the bytes is no part of a state.
            Put back with one, the blob is stored there.
    """

    key: BlobKey
    size_bytes: int
    references: int
    first_seen_at: datetime
    last_used_at: datetime | None
    locator: Locator | None = None


class SavedAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer that is kept for an idempotency key; `answer` as `encode_answer` makes it."""

    tenant_id: TenantId
    text: str
    request: str
    upload_id: ObjectId
    expires_at: datetime
    answer: str


Record: TypeAlias = ApiKey | SavedBlob | StoredObject | SavedAnswer | AuditEvent
"""One row of a state. Objects are COMMITTED and have no locator."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps collectors from blobs.

    Args:
        since: Blobs that lost their last reference at this time or later are not claimed.
        expires_at: When it ends unless it is renewed; None for one that does not end by itself.
    """

    name: str
    since: datetime
    expires_at: datetime | None


class Snapshot(ABC):
    """A state as it was at one instant, however long it takes to read it.

    An async context manager that closes itself. Keep it open for as short as can be: a database
    keeps what has changed since then for it. One call at a time.
    """

    taken_at: datetime
    """The store's clock as the snapshot was opened."""

    @abstractmethod
    async def read(self, limit: int) -> Sequence[Record]:
        """The next records, up to `limit`, each exactly once; an empty list ends them.

        Raises:
            Unavailable: The snapshot is lost; a new one has to be taken.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of it. Idempotent; does not raise."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class BackupRepository(ABC):
    """Holds, snapshots, and their way back. See `MetadataStore` for what holds for every method."""

    # -- holds --------------------------------------------------------------------------------

    @abstractmethod
    async def hold(self, name: str, *, hold_s: float, back_s: float) -> Hold:
        """Keep collectors from what loses its last reference from `back_s` seconds ago on.

        `BlobRepository.claim` leaves such blobs alone while the hold runs; older garbage is
        collected as ever. A snapshot that is opened after this call names no blob that a claim
        could take, provided that no transaction lasts longer than `back_s`: one that is under way
        may have noted the time of a deletion and not have committed it.

        A hold of this name that is there is replaced.
        """

    @abstractmethod
    async def renew(self, name: str, *, hold_s: float) -> bool:
        """Let a hold run for `hold_s` seconds from now.

        Returns:
            False where it is gone, or had run out before this call: then nothing is renewed, and
            what it kept may have been collected.
        """

    @abstractmethod
    async def release(self, name: str) -> None:
        """End a hold. An absent one is fine."""

    @abstractmethod
    async def holds(self) -> list[Hold]:
        """Those that run now, by name."""

    # -- out ----------------------------------------------------------------------------------

    @abstractmethod
    async def snapshot(self) -> Snapshot:
        """Open a snapshot of all that is committed now; the caller closes it."""

    # -- in -----------------------------------------------------------------------------------

    @abstractmethod
    async def begin_restore(self, name: str) -> bool:
        """Begin to put a state back, or go on.

        Notes the name as a hold that does not end by itself: until `end_restore`, no collector
        claims what it finds beside the state.

        Returns:
            Whether a restore of this name has begun before, and not ended.

        Raises:
            InvalidState: There are objects, in whatever status, that no restore of this name has
                brought; or another restore has begun and not ended.
        """

    @abstractmethod
    async def restore(self, records: Sequence[Record]) -> None:
        """Put records back, in one transaction.

        Where they are there already, it does nothing to API keys, objects, answers and events; a
        blob's row gets the recorded count, and where the record has a locator, it is stored there
        from now on. An API key of the same hash and another id gives way to the recorded one: a
        service makes one of its configuration as soon as it opens. Objects come after their blobs.
        A store that was opened with `OpenContext.audit` may record this like any other change.

        Raises:
            InvalidState: A record contradicts another one: two keys of one hash, two objects of one
                key, an object without its blob.
        """

    @abstractmethod
    async def end_restore(self, name: str) -> None:
        """All records are back."""
