"""ResumeUpload: bytes come in, in as many requests as it takes.

Docs/adr/0032. The steps are those of `UploadObject`, with rests between them:

    begin     the object is WRITING, with a lease               (begin)
    stage     bytes are added to what is kept already           (append, again and again)
    reserve, place, commit                                      (the append that brings the last)

What an `append` was answered for is durable. It holds the staged bytes for itself, so two at once
never mix theirs. One that ends early, however it does, leaves what it has written for the next.

The last steps may be broken off and begun again as well: what was reserved or placed before is
found to be, because the bytes are the same. The commit leaves its answer in the database, as one
with an `Idempotency-Key` does: whoever asks later is told how it ended, also when the object is
gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final

import anyio
import msgspec
from msgspec.structs import replace

from juststorage.domain import ContentHash, ObjectId, StorageClass
from juststorage.errors import (
    Corrupt,
    DigestMismatch,
    JustStorageError,
    NotFound,
    OffsetMismatch,
    PreconditionFailed,
    TooLarge,
    UploadExpired,
)
from juststorage.ports import (
    BlobStore,
    Clock,
    Committed,
    Hasher,
    Lease,
    MetadataStore,
    ResumableBlob,
    UploadIntent,
)
from juststorage.usecases._idempotent import Nowhere
from juststorage.usecases._last_steps import LastSteps
from juststorage.usecases._receive import Digests, UploadLimits, receive
from juststorage.usecases._running_digests import RunningDigests
from juststorage.usecases._upload_steps import UploadSteps
from juststorage.usecases._upload_ticket import TicketCodec, UploadTicket

__all__ = ["ResumeUpload", "UploadProgress"]

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_FOREVER_S: Final = float("inf")
_ENDING: Final = (DigestMismatch, PreconditionFailed, Corrupt)
"""After these it will never be committed, whoever tries again."""


class UploadProgress(msgspec.Struct, frozen=True, gc=False):
    """How far an upload has come.

    Args:
        offset: Bytes that are durable, and not sent again.
        committed: What became of it, once all of them are.
        lives_for_s: Seconds that it may rest from now on, where that is known.
    """

    offset: int
    committed: Committed | None = None
    lives_for_s: float | None = None


class ResumeUpload:
    """Takes an upload in turns, from any process.

    Cost beyond that of a streamed upload: three transactions and two file syncs a request, and two
    syncs for each 64 MiB or so of a body. Hashing goes along as long as one process takes the
    requests in turn and none of them breaks; otherwise the last one reads all bytes once more.

    Args:
        metadata: Where objects are recorded.
        blobs: The stores by storage class.
        hashers: By the algorithm that they are.
        algorithm: Names new content.
        clock: Tells when a lease has to be renewed.
        limits: As of any upload. The lease is for an upload of which no byte is kept.
        resumable_for_s: The lease from then on: seconds that it may rest. For as long it is told
            how it ended, once it was committed.
        codec: Signs tickets.
        equal_time: Whether content that is stored already takes as long as new content.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Mapping[StorageClass, BlobStore],
        hashers: Mapping[str, Hasher],
        *,
        algorithm: str,
        clock: Clock,
        limits: UploadLimits,
        resumable_for_s: float,
        codec: TicketCodec,
        equal_time: bool = False,
    ) -> None:
        self._objects = metadata.objects
        self._algorithm = algorithm
        self._clock = clock
        self._first_lease_s = min(limits.lease_s, resumable_for_s)
        self._limits = replace(limits, lease_s=resumable_for_s)
        self._steps = UploadSteps(
            metadata, blobs, hashers, algorithm=algorithm, limits=self._limits
        )
        self._last = LastSteps(
            metadata, self._steps, kept_for_s=resumable_for_s, clock=clock, equal_time=equal_time
        )
        self._codec = codec
        self._running = RunningDigests()

    @property
    def first_lease_s(self) -> float:
        """Seconds until the first byte has to be there."""
        return self._first_lease_s

    def ticket(self, text: str) -> UploadTicket:
        """The ticket that a client brings.

        Raises:
            NotFound: There never was one like that.
        """
        return self._codec.decode(text)

    async def begin(
        self, intent: UploadIntent, size_bytes: int, *, expected: Sequence[ContentHash] = ()
    ) -> str:
        """Begin an upload of that many bytes; every refusal that needs none of them comes here.

        Returns:
            Its ticket. One whose answer is lost is of no harm: it ends with its short first lease.

        Raises:
            UnsupportedOperation: The store of this class cannot resume uploads.
            TooLarge, StorageFull: There is no room for it.
            KeyConflict, PreconditionFailed: The key says no.
            Unavailable: Try later.

        Cancellation: leaves nothing that lives on.
        """
        assert intent.idempotency is None, "its answer would be the first one's, which is no ticket"
        store = self._steps.store(intent.new.storage_class)
        self._steps.digests(expected)
        # Asked before the row is made, which a store that cannot do this would have made in vain.
        await store.resumable_bytes(intent.new.id)
        await self._steps.check_room(store, size_bytes)
        lease = await self._objects.begin(intent, lease_s=self._first_lease_s)
        try:
            await store.begin_resumable(intent.new.id)
        except BaseException:
            await self._steps.abort(lease)
            raise
        ticket = UploadTicket(lease=lease, size_bytes=size_bytes, expected=tuple(expected))
        return self._codec.encode(ticket)

    async def progress(self, ticket: UploadTicket) -> UploadProgress:
        """How far it has come; also of one that has been committed. One without its bytes ends.

        Raises:
            NotFound: It has ended without an object: given up, or expired. Or its object is gone,
                and it was committed longer ago than an upload may rest.
            Unavailable: Try later.
        """
        store = self._steps.store(ticket.lease.object.storage_class)
        if await self._is_alive(ticket):
            kept_bytes = await store.resumable_bytes(ticket.upload_id)
            if kept_bytes is not None:
                return UploadProgress(kept_bytes)
            await self._steps.abort(ticket.lease)
        return await self._ended(ticket)

    async def append(
        self,
        ticket: UploadTicket,
        offset: int,
        body: AsyncIterator[bytes],
        *,
        size_bytes: int | None = None,
    ) -> UploadProgress:
        """Add bytes; those that make it whole commit it.

        Sent again with nothing in it once all is there, it says how it ended: the same as before.

        Args:
            ticket: Whose bytes.
            offset: How many there are already, as the client has it.
            body: More of them, in chunks of any size. It raises what ends the request.
            size_bytes: How many, as the client announced.

        Raises:
            OffsetMismatch: There are more, or fewer. None was taken.
            UploadInUse: Another request is at it.
            TooLarge: More than were announced for the whole. What fits is kept, unless the request
                announced by itself that it does not: then none was taken.
            TooSlow: The body stood still or crept. What came is kept.
            StorageFull, Unavailable: Try later, from where it is then.
            DigestMismatch, PreconditionFailed, UploadExpired: It is over, and nothing is stored.
            Corrupt: It is over: the volume does not give back what it was given.
            NotFound: It has ended before.

        Cancellation: what came is kept; from the reservation on, it runs to its end.
        """
        if size_bytes is not None and offset + size_bytes > ticket.size_bytes:
            raise TooLarge(f"the upload has {ticket.size_bytes} bytes in all, as was announced")
        lease, store = ticket.lease, self._steps.store(ticket.lease.object.storage_class)
        if not await self._is_alive(ticket):
            return await self._ended(ticket, offset)
        try:
            resumed = await store.resume(ticket.upload_id)
        except NotFound:
            # Without its bytes it would hold its key until its lease is over. One that was
            # committed this moment has no lease any more, and nothing happens to it.
            await self._steps.abort(lease)
            return await self._ended(ticket, offset)
        try:
            async with resumed:
                if resumed.size_bytes != offset:
                    raise _mismatch(resumed.size_bytes)
                digests, lives_for_s = await self._receive(ticket, store, resumed, body)
                if resumed.size_bytes < ticket.size_bytes:
                    self._running.put(ticket.upload_id, resumed.size_bytes, digests)
                    return UploadProgress(resumed.size_bytes, lives_for_s=lives_for_s)
                committed = await self._finish(ticket, store, resumed, digests)
        except UploadExpired:
            # The lease ends with the commit, too: of another request, between two looks of this.
            stored = await self._last.outcome(ticket)
            if stored is None:
                await self._end(lease, store)
                raise
            return UploadProgress(ticket.size_bytes, stored)
        except _ENDING:
            await self._end(lease, store)
            raise
        await self._discard(store, ticket.upload_id)
        return UploadProgress(ticket.size_bytes, committed)

    async def give_up(self, ticket: UploadTicket) -> None:
        """End it: nothing of it stays, and its key is free.

        Raises:
            NotFound: It has ended before, by being stored or otherwise.
            Unavailable: Try later.
        """
        store = self._steps.store(ticket.lease.object.storage_class)
        if not await self._is_alive(ticket):
            raise NotFound("there is no such upload")
        with anyio.CancelScope(shield=True):
            await self._objects.abort(ticket.lease)
            await self._discard(store, ticket.upload_id)
            if await self._last.outcome(ticket) is not None:
                raise NotFound("there is no such upload any more: its object was stored")

    # -- steps --------------------------------------------------------------------------------

    async def _is_alive(self, ticket: UploadTicket) -> bool:
        return bool(await self._objects.live_uploads([ticket.upload_id]))

    async def _renew(self, ticket: UploadTicket, store: BlobStore) -> float:
        """Let it live on: for long once there are bytes that were kept, and else as at first.

        Returns:
            The seconds.
        """
        kept_bytes = await store.resumable_bytes(ticket.upload_id)
        lease_s = self._limits.lease_s if kept_bytes else self._first_lease_s
        await self._objects.renew(ticket.lease, lease_s=lease_s)
        return lease_s

    async def _receive(
        self,
        ticket: UploadTicket,
        store: BlobStore,
        resumed: ResumableBlob,
        body: AsyncIterator[bytes],
    ) -> tuple[Digests | None, float]:
        """Receive what there is, and keep it.

        Returns:
            The digests of all bytes so far, where they were counted from the first one on; and how
            long it lives now.
        """

        async def renew() -> None:
            await self._renew(ticket, store)

        digests = self._running.take(ticket.upload_id, resumed.size_bytes)
        if digests is None and resumed.size_bytes == 0:
            digests = self._steps.digests(ticket.expected)
        bytes_max = ticket.size_bytes - resumed.size_bytes
        try:
            await receive(
                body,
                resumed,
                Digests({}, ()) if digests is None else digests,
                # The short lease: that often it is noticed that somebody gave it up.
                limits=replace(self._limits, bytes_max=bytes_max, lease_s=self._first_lease_s),
                clock=self._clock,
                renew=renew,
                renews_first=True,
            )
        except BaseException:
            # What came of a body that broke off is worth keeping; should that fail, it must not
            # hide what broke it.
            with anyio.CancelScope(shield=True), suppress(JustStorageError):
                await resumed.keep()
                await self._renew(ticket, store)
            raise
        with anyio.CancelScope(shield=True):
            await resumed.keep()
            lives_for_s = await self._renew(ticket, store)
        return digests, lives_for_s

    async def _finish(
        self,
        ticket: UploadTicket,
        store: BlobStore,
        resumed: ResumableBlob,
        digests: Digests | None,
    ) -> Committed:
        content_hash = resumed.placed_as
        if content_hash is None:
            if digests is None:
                digests = await self._read_back(ticket, store, resumed)
            content_hash = digests.finish(self._algorithm)
        await resumed.finish()
        return await self._last.run(ticket, store, resumed, content_hash)

    async def _read_back(
        self, ticket: UploadTicket, store: BlobStore, resumed: ResumableBlob
    ) -> Digests:
        """Hash bytes that came in several goes: received once more, from the store this time."""

        async def blocks() -> AsyncGenerator[bytes, None]:
            for start in range(0, ticket.size_bytes, _BLOCK_BYTES):
                yield await resumed.read(start, min(_BLOCK_BYTES, ticket.size_bytes - start))

        async def renew() -> None:
            await self._renew(ticket, store)

        digests = self._steps.digests(ticket.expected)
        async with aclosing(blocks()) as body:
            await receive(
                body,
                Nowhere(),
                digests,
                limits=replace(
                    self._limits,
                    idle_s=_FOREVER_S,
                    rate_min_bytes_s=0,
                    lease_s=self._first_lease_s,
                ),
                clock=self._clock,
                renew=renew,
            )
        return digests

    async def _ended(self, ticket: UploadTicket, offset: int | None = None) -> UploadProgress:
        """How an upload ended that is not alive; for who comes with an offset, if it is the last.

        Raises:
            NotFound: It was not committed, or that is long ago and the object is gone.
            OffsetMismatch: It was, and has all bytes.
        """
        stored = await self._last.outcome(ticket)
        if stored is None:
            raise NotFound("there is no such upload: it was given up, or has expired")
        if offset is not None and offset != ticket.size_bytes:
            raise _mismatch(ticket.size_bytes)
        return UploadProgress(ticket.size_bytes, stored)

    async def _end(self, lease: Lease, store: BlobStore) -> None:
        await self._steps.abort(lease)
        await self._discard(store, lease.object.id)

    @staticmethod
    async def _discard(store: BlobStore, upload_id: ObjectId) -> None:
        """Take what is left away. Where even that fails, the sweeper does it."""
        with anyio.CancelScope(shield=True), suppress(JustStorageError):
            await store.discard_resumable(upload_id)


def _mismatch(offset: int) -> OffsetMismatch:
    return OffsetMismatch(f"the upload goes on at byte {offset}", offset=offset)
