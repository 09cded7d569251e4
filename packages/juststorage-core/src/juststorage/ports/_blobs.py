"""BlobRepository: blob rows, their counts, and how garbage is claimed and removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime

import msgspec

from juststorage.domain import Blob, BlobKey, Locator, StorageClass

__all__ = ["BlobRepository", "CountDrift", "Removal"]


class Removal(msgspec.Struct, frozen=True, gc=False):
    """What became of a batch of claimed blobs.

    Args:
        removed: Their rows are gone.
        taken_back: An upload counts on them again; their claim is dropped and their bytes were not
            touched.
        failed: Their bytes could not be moved; they stay claimed until the claim runs out.
    """

    removed: list[Blob]
    taken_back: list[BlobKey]
    failed: list[BlobKey]


class CountDrift(msgspec.Struct, frozen=True, gc=False):
    """A count that differs from the number of objects that hold the blob (I3)."""

    key: BlobKey
    recorded: int
    actual: int


class BlobRepository(ABC):
    """Blob rows. See `MetadataStore` for what holds for every method."""

    @abstractmethod
    async def find(self, keys: Collection[BlobKey]) -> dict[BlobKey, Blob]:
        """The rows of these keys; absent keys are left out."""

    @abstractmethod
    async def locators_in_use(
        self, storage_class: StorageClass, locators: Collection[Locator]
    ) -> set[Locator]:
        """Those of the locators that a row names. For stores whose names do not tell the hash."""

    @abstractmethod
    async def claim(
        self,
        *,
        grace_s: float,
        claim_s: float,
        limit: int,
        agree: Callable[[Blob, datetime], bool],
        after: Blob | None = None,
    ) -> list[Blob]:
        """Claim garbage for removal: step a of the collection.

        Candidates have ref_count 0, zero_since at least `grace_s` ago and before the time of every
        hold that runs (`BackupRepository.hold`), and no claim that still runs; they are taken in
        the order of (zero_since, key), oldest first, skipping rows that another transaction has
        locked. `agree` is asked inside the transaction, sync, in that order, once for each (again
        when the transaction is attempted again); those it refuses stay as they are and do not count
        toward `limit` (at most ten times `limit` are looked at). For the others stored_at becomes
        NULL and the claim runs for `claim_s` seconds.

        With `after`, only candidates behind that one: whoever passes the last one that `agree` was
        asked about comes past all of them, however many are refused.

        Returns:
            The claimed blobs, as they were before (with their stored_at).
        """

    @abstractmethod
    async def remove(
        self,
        claimed: Sequence[BlobKey],
        move: Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]],
    ) -> Removal:
        """Remove claimed blobs: step b of the collection, one small batch.

        Locks the rows that are still claimed, have ref_count 0 and NO object that holds them (the
        re-check that drift cannot fool), in order; awaits `move` with them **while they are
        locked**, so that an upload of the same bytes waits and then makes a row, and a copy, of its
        own; deletes the rows whose keys `move` returned; sets the DELETING objects of those blobs
        DELETED. Keep batches small: uploads of these bytes wait for `move`.

        Cancellation: rolls back. Files that `move` moved are restored by its caller.
        """

    @abstractmethod
    async def adopt(self, key: BlobKey, *, size_bytes: int, locator: Locator) -> bool:
        """Make a row, with ref_count 0 from now on, for a placed file that has none (R13).

        Waits for an upload that is making the same row.

        Returns:
            False when there is a row already.
        """

    @abstractmethod
    async def distrust(self, key: BlobKey) -> None:
        """Withdraw stored_at: the bytes turned out missing or damaged.

        Nobody loses a reference by it, and readers go on as before; but the next upload of these
        bytes places its own copy instead of counting on what is not there, and thereby heals every
        object that refers to them. An absent row is fine.
        """

    @abstractmethod
    async def confirm(self, blob: Blob, locator: Locator) -> bool:
        """Set stored_at again: the bytes have turned out whole and durable at `locator`.

        The way back from `distrust`, and from a claim that was dropped because of drift. It happens
        only while the row is the one that `blob` was read from (its first_seen_at tells), has no
        stored_at, is not claimed, and a COMMITTED object holds it.

        Returns:
            Whether it was set.
        """

    @abstractmethod
    async def scan(self, *, after: BlobKey | None, limit: int) -> list[Blob]:
        """All rows, ascending by key, for the auditor. An empty list ends the walk."""

    @abstractmethod
    async def recount(self, keys: Collection[BlobKey], *, repair: bool) -> list[CountDrift]:
        """Compare counts with the objects that hold the blobs, under the row locks.

        With `repair`, set the count to what is true, and zero_since to now where that is 0.

        Returns:
            The differences found, those repaired included.
        """
