"""LastSteps: reserve, place and commit of a resumable upload, each of which may come again."""

from __future__ import annotations

from typing import Final

import anyio
from msgspec.structs import replace

from juststorage.domain import ContentHash, IdempotencyKey, Locator
from juststorage.errors import Corrupt, InvalidState, Unavailable
from juststorage.ports import (
    BlobStore,
    Clock,
    Committed,
    Content,
    Lease,
    MetadataStore,
    Reservation,
    ResumableBlob,
)
from juststorage.usecases._equal_time import EqualTime
from juststorage.usecases._upload_steps import UploadSteps
from juststorage.usecases._upload_ticket import UploadTicket

__all__ = ["LastSteps"]

_REQUEST: Final = "resumable upload"
"""Tells the kept answers of these uploads from those of requests, which have a digest there."""


class LastSteps:
    """What makes an object of bytes that are all there, and tells later what became of it.

    Args:
        metadata: Where objects are recorded.
        steps: What uploads of all kinds do alike.
        kept_for_s: Seconds that the outcome is told, whatever becomes of the object.
        clock: Tells how long new content takes.
        equal_time: Whether stored content takes as long.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        steps: UploadSteps,
        *,
        kept_for_s: float,
        clock: Clock,
        equal_time: bool = False,
    ) -> None:
        self._objects = metadata.objects
        self._answers = metadata.idempotency
        self._steps = steps
        self._kept_for_s = kept_for_s
        self._clock = clock
        self._time = EqualTime(clock) if equal_time else None

    async def run(
        self,
        ticket: UploadTicket,
        store: BlobStore,
        resumed: ResumableBlob,
        content_hash: ContentHash,
    ) -> Committed:
        """Make the object of bytes that are finished.

        Raises:
            Corrupt: They are other ones than an attempt before this one has reserved.
            PreconditionFailed, UploadExpired: It is over, and nothing is stored.
            StorageFull, Unavailable: To be tried again.

        Cancellation: it runs to its end.
        """
        began = self._clock.monotonic()
        with anyio.CancelScope(shield=True):
            reserved = await self._reserve(ticket.lease, Content(content_hash, ticket.size_bytes))
            locator = reserved.locator
            if locator is None:
                async with self._steps.lost_lease_first(ticket.lease):
                    locator = await store.place(resumed, content_hash)
            committed = await self._commit(ticket, locator)
        if self._time is not None:
            await self._time.even(store, ticket.size_bytes, reserved, since=began)
        return committed

    async def outcome(self, ticket: UploadTicket) -> Committed | None:
        """What was committed: as it was then, or is now if that is too long ago. None for nothing.

        The answer that was kept comes first: the object may be gone since, and whoever took that
        for an upload that never ended would send it again, over what took its place.
        """
        record = await self._answers.find(ticket.tenant_id, _answer_of(ticket))
        if (
            record is not None
            and record.committed is not None
            # A request of the tenant may bear any key.
            and (record.request, record.committed.object.id) == (_REQUEST, ticket.upload_id)
        ):
            return replace(record.committed, is_repeated=True)
        found = await self._objects.find(ticket.tenant_id, ticket.upload_id)
        return None if found is None else Committed(found, is_repeated=True)

    async def _reserve(self, lease: Lease, content: Content) -> Reservation:
        """Count on the blob, or find that an attempt before this one has.

        Raises:
            Corrupt: That one had other bytes. They must not get the name of these, nor these of
                those: the volume does not give back what was written.
        """
        try:
            return await self._objects.reserve(lease, content)
        except InvalidState:
            raise Corrupt("the bytes of this upload are not those that they were before") from None

    async def _commit(self, ticket: UploadTicket, locator: Locator) -> Committed:
        """Commit, keeping the answer, or find out whether that has happened.

        The ticket does not know all that the row says of the object; an answer that is kept does.

        Raises:
            PreconditionFailed, UploadExpired: It did not, and will not.
            Unavailable: It did not happen, or nobody can tell.
        """
        key = IdempotencyKey(text=_answer_of(ticket), request=_REQUEST, ttl_s=self._kept_for_s)
        intent = replace(ticket.lease.intent, idempotency=key)
        try:
            return await self._objects.commit(replace(ticket.lease, intent=intent), locator)
        except Unavailable:
            stored = await self.outcome(ticket)
            if stored is None:
                raise
            return replace(stored, is_repeated=False)


def _answer_of(ticket: UploadTicket) -> str:
    """The key that its answer is kept under."""
    return f"resumable-upload/{ticket.upload_id}"
