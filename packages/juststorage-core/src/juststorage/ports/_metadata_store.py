"""MetadataStore: the source of truth.

One plugin opens all repositories, because an object's state and its blob's count change in one
transaction.

**Durability.** Every method is exactly one transaction: when it returns, its effect is durable and
seen by every process; when it raises, it had no effect. The exception is `Unavailable` from a
method that writes: the outcome is then unknown and the caller looks it up.

**Clock.** All recorded times come from one clock that every process of the store shares: the
database server's where there is one. Durations come in as seconds.

**Cancellation.** A cancelled read has no effect. A cancelled write may have happened or not;
callers shield the ones that matter.

**Concurrency.** All methods may be called at once, from several processes. A method that touches
several blob rows locks them in the order of `BlobKey` (R08). Serialization failures and deadlocks
are retried inside, bounded, with jitter.

**Errors.** Those of `juststorage.errors` only. `Unavailable` when the database cannot answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from juststorage.ports._api_keys import ApiKeyRepository
from juststorage.ports._audit import AuditRepository
from juststorage.ports._backups import BackupRepository
from juststorage.ports._blobs import BlobRepository
from juststorage.ports._idempotency import IdempotencyRepository
from juststorage.ports._objects import ObjectRepository
from juststorage.ports._read_only import ReadOnlySwitch
from juststorage.ports._tallies import TallyRepository
from juststorage.ports._usage import UsageRepository

__all__ = ["MetadataStore"]


class MetadataStore(ABC):
    """The repositories of one database."""

    objects: ObjectRepository
    blobs: BlobRepository
    api_keys: ApiKeyRepository
    usage: UsageRepository
    tallies: TallyRepository
    audit: AuditRepository
    idempotency: IdempotencyRepository
    backups: BackupRepository

    @abstractmethod
    async def ping(self) -> None:
        """Prove that the database answers, and has a schema that this release can work with.

        Raises:
            Unavailable: It does not, or its schema is missing or older; the detail says which.
        """

    async def answers(self) -> None:
        """Prove that the database answers, whatever schema it has.

        Readiness tells so apart from `ping`: a database that is away, and one whose migrations are
        still to be run. Concrete, so that a store needs it only where there is a difference.

        Raises:
            StorageFull: It reads and deletes, and has no room to store more: the part is degraded.
            Unavailable: It does not.
        """
        await self.ping()

    async def now(self) -> datetime | None:
        """The time of day by the clock that this store records with, in UTC.

        None where that is the clock of its context. Concrete, so that only a store with a clock of
        its own needs it: operators are told when that clock and the host's disagree.
        """
        return None

    async def read_only(self) -> ReadOnlySwitch | None:
        """How the switch of read-only mode stands; off, and never turned, in a new store.

        Asked every two seconds by each instance, so it must cost no more than a look at one row.
        None where this store keeps no switch: it then reaches the instance that is told and no
        other one. Concrete, with `turn_read_only`, so that older stores go on working.
        """
        return None

    async def turn_read_only(self, *, on: bool) -> ReadOnlySwitch | None:
        """Turn the switch, for every process of this store and until it is turned again.

        Two that turn it at once are counted both, one after the other.

        Returns:
            How it stands now; None where this store keeps no switch.
        """
        return None

    @abstractmethod
    async def secret(self, name: str) -> bytes:
        """32 random bytes under this name, made when first asked for, then the same for ever.

        Every process of this store gets the same ones; page cursors are signed with them.
        """
