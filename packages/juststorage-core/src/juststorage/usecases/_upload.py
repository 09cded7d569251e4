"""UploadObject: bytes come in, once, and are there for ever.

The order of steps is docs/adr/0001 and the heart of the system:

    begin     the object is WRITING, with a lease               (transaction)
    stage     bytes are received, hashed, written, synced       (blob store)
    reserve   the object counts on its blob                     (transaction)
    place     the bytes get their final name, durably           (blob store)
    commit    the object is visible                             (transaction)

A reference is reserved *before* the bytes are placed. The order that comes to mind first, to write
the file and then count it, loses acknowledged bytes: a collector may take the file between the two
when an earlier object of equal content has just been deleted.

A process may die between any two steps. Before commit the object is invisible and its lease runs
out; whatever it staged, reserved or placed is found by the reaper, the sweeper and the collector.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import anyio
import anyio.to_thread

from juststorage.domain import BlobKey, ContentHash, StorageClass
from juststorage.errors import StorageFull, TooLarge, Unavailable
from juststorage.ports import (
    BlobStore,
    Clock,
    Committed,
    Content,
    Hasher,
    MetadataStore,
    Reservation,
    UploadIntent,
)
from juststorage.usecases._equal_time import EqualTime
from juststorage.usecases._idempotent import FirstAnswers, Nowhere
from juststorage.usecases._receive import Digests, UploadLimits, receive
from juststorage.usecases._upload_steps import UploadSteps, has_room

__all__ = ["UploadObject"]

_HASH_INLINE_BYTES_MAX: Final = 64 * 1024
"""Hashed on the event loop: 45 us at 1.4 GB/s, about what handing it to a thread costs."""


class UploadObject:
    """Takes an upload from its first byte to its commit.

    Cost of a small body of new content: two transactions, one file sync, one or two directory
    syncs, two thread hops. Of content that is stored already: one transaction.

    With `equal_time` content that is stored already takes as long as new content, and is refused
    like it where there is no room: neither tells what others have.
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
        equal_time: bool = False,
    ) -> None:
        self._objects = metadata.objects
        self._rows = metadata.blobs
        self._first = FirstAnswers(metadata)
        self._algorithm = algorithm
        self._clock = clock
        self._limits = limits
        self._steps = UploadSteps(metadata, blobs, hashers, algorithm=algorithm, limits=limits)
        self._whole_time = EqualTime(clock) if equal_time else None
        self._stream_time = EqualTime(clock) if equal_time else None
        self._full: set[StorageClass] = set()
        """Where there was no room for the last small body of new content."""

    async def whole(
        self, intent: UploadIntent, data: bytes, *, expected: Sequence[ContentHash] = ()
    ) -> Committed:
        """Store a body that is all in memory.

        Args:
            intent: What to make of it.
            data: The content.
            expected: Digests that the client announced; checked before anything is stored.

        Raises:
            DigestMismatch, TooLarge: Nothing was stored.
            KeyConflict, PreconditionFailed, UploadExpired: The key says no.
            IdempotencyMismatch, IdempotencyInFlight: The idempotency key says no.
            StorageFull, Unavailable: Try later.

        Cancellation: before the reservation it leaves nothing; afterwards the upload runs to its
        end, committed.
        """
        store = self._steps.store(intent.new.storage_class)
        if len(data) > self._limits.bytes_max:
            raise TooLarge(f"the body is over {self._limits.bytes_max} bytes")
        digests = self._steps.digests(expected)
        if len(data) <= _HASH_INLINE_BYTES_MAX:
            digests.update(data)
        else:
            await anyio.to_thread.run_sync(digests.update, data)
        content = Content(digests.finish(self._algorithm), len(data))
        first = await self._first.find(intent.new.tenant_id, intent.idempotency)
        if first is not None:
            self._first.check_content(first, content.content_hash)
            return first
        # Shielded: from here the outcome is ours to know, and half of it is worth nothing.
        with anyio.CancelScope(shield=True):
            committed = await self._store_whole(store, intent, content, data)
        return committed  # noqa: RET504 - a shielded scope never swallows; mypy cannot know

    async def stream(
        self,
        intent: UploadIntent,
        body: AsyncIterator[bytes],
        *,
        size_bytes: int | None = None,
        expected: Sequence[ContentHash] = (),
    ) -> Committed:
        """Store a body as it arrives, in bounded memory.

        Every refusal that needs no byte of the body comes before the first one is asked for.

        Args:
            intent: What to make of it.
            body: The content, in chunks of any size. It raises what ends the upload (a client that
                has gone).
            size_bytes: What the client announced; used to refuse early, never trusted.
            expected: Digests that the client announced.

        Raises:
            TooSlow: The body stood still or crept.
            Otherwise as `whole`.

        Cancellation: before the reservation it aborts the upload; afterwards the upload runs to
        its end, committed.
        """
        store = self._steps.store(intent.new.storage_class)
        digests = self._steps.digests(expected)
        first = await self._first.find(intent.new.tenant_id, intent.idempotency)
        if first is not None:
            return await self._same(first, body, digests)
        await self._steps.check_room(store, size_bytes)
        lease = await self._objects.begin(intent, lease_s=self._limits.lease_s)
        try:
            async with await store.stage(intent.new.id) as staged:
                size = await receive(
                    body,
                    staged,
                    digests,
                    limits=self._limits,
                    clock=self._clock,
                    renew=lambda: self._objects.renew(lease, lease_s=self._limits.lease_s),
                )
                content = Content(digests.finish(self._algorithm), size)
                await staged.finish()
                began = self._clock.monotonic()
                with anyio.CancelScope(shield=True):
                    reserved = await self._objects.reserve(lease, content)
                    locator = reserved.locator
                    if locator is None:
                        async with self._steps.lost_lease_first(lease):
                            locator = await store.place(staged, content.content_hash)
                    committed = await self._steps.commit(lease, locator)
        except BaseException:
            await self._steps.abort(lease)
            raise
        if self._stream_time is not None:
            await self._stream_time.even(store, content.size_bytes, reserved, since=began)
        return committed

    async def _same(
        self, first: Committed, body: AsyncIterator[bytes], digests: Digests
    ) -> Committed:
        """The first answer, once the whole body has turned out to be the first one's."""

        async def renew() -> None:
            """Nothing is held that could run out."""

        await receive(body, Nowhere(), digests, limits=self._limits, clock=self._clock, renew=renew)
        self._first.check_content(first, digests.finish(self._algorithm))
        return first

    async def _check_full(
        self, store: BlobStore, storage_class: StorageClass, content: Content
    ) -> None:
        """Look before a row is written for nothing, where there was no room the last time.

        Each upload that is refused by its store only has left a row, and where the metadata are on
        the same volume, that eats the room that deleting and collecting need.
        """
        if await has_room(store, content.size_bytes):
            self._full.discard(storage_class)
            return
        key = BlobKey(content.content_hash, storage_class)
        blob = (await self._rows.find([key])).get(key)
        if blob is None or blob.stored_at is None:
            raise StorageFull("there is not enough free space for this body")

    async def _store_whole(
        self, store: BlobStore, intent: UploadIntent, content: Content, data: bytes
    ) -> Committed:
        storage_class = intent.new.storage_class
        if self._whole_time is not None:
            # A refusal of new content alone would tell as well.
            await self._steps.check_room(store, content.size_bytes)
        elif storage_class in self._full:
            await self._check_full(store, storage_class, content)
        began = self._clock.monotonic()
        try:
            reserved = await self._objects.begin_reserved(
                intent, content, lease_s=self._limits.lease_s
            )
        except Unavailable:
            return await self._steps.look_up(intent)
        committed = (
            reserved
            if isinstance(reserved, Committed)
            else await self._place_whole(store, reserved, content, data)
        )
        if self._whole_time is not None:
            await self._whole_time.even(store, content.size_bytes, reserved, since=began)
        return committed

    async def _place_whole(
        self, store: BlobStore, reserved: Reservation, content: Content, data: bytes
    ) -> Committed:
        lease = reserved.lease
        try:
            locator = reserved.locator
            if locator is None:
                locator = await store.put(lease.object.id, content.content_hash, data)
            return await self._steps.commit(lease, locator)
        except BaseException as error:
            if isinstance(error, StorageFull):
                self._full.add(lease.object.storage_class)
            await self._steps.abort(lease)
            raise
