"""What is refused, expired or given up: nothing of it stays."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import Conditions, ContentHash, StorageClass
from juststorage.errors import (
    DigestMismatch,
    Invalid,
    KeyConflict,
    NotFound,
    OffsetMismatch,
    PreconditionFailed,
    StorageFull,
    TooLarge,
    Unavailable,
    UnsupportedOperation,
    UploadExpired,
    UploadInUse,
)
from juststorage.plugins import BlobCapabilities
from juststorage.plugins._guards import Where, guard
from juststorage.ports import BlobStore, Space
from juststorage.testing.faults import FailingBlobStore

DATA = b"0123456789"
HASH = ContentHash("sha256:" + hashlib.sha256(DATA).hexdigest())
WRONG = ContentHash("sha256:" + "0" * 64)
ABSENT = Conditions(if_none_match=frozenset())


class TestRefusals:
    async def test_a_store_that_cannot(self, service: Any, resuming: Any) -> None:
        """It is refused before anything is begun."""
        inner = service.blobs[StorageClass.HOT]
        where = Where("blobs.hot", None, BlobCapabilities())
        service.blobs[StorageClass.HOT] = guard(inner, BlobStore, where)
        with pytest.raises(UnsupportedOperation):
            await resuming.begun()
        assert await service.metadata.objects.scan(after=None, limit=9) == []

    async def test_too_large_and_no_room(self, service: Any, resuming: Any) -> None:
        """By the announced length, before a byte is sent."""

        class Full(FailingBlobStore):
            async def space(self) -> Space:
                return Space(total_bytes=100, free_bytes=len(DATA) - 1)

        case = resuming.case()
        with pytest.raises(TooLarge):
            await case.begin(service.intent(), service.limits.bytes_max + 1)
        service.blobs[StorageClass.HOT] = Full(service.blobs[StorageClass.HOT])
        with pytest.raises(StorageFull):
            await resuming.case().begin(service.intent(), len(DATA))
        assert await service.metadata.objects.scan(after=None, limit=9) == []

    async def test_a_digest_that_nobody_can_check(self, service: Any, resuming: Any) -> None:
        """It is not silently ignored."""
        with pytest.raises(Invalid, match="blake3"):
            await resuming.begun(expected=[ContentHash("blake3:" + "0" * 64)])

    async def test_the_key_says_no(self, service: Any, resuming: Any) -> None:
        """A held key, and a precondition, are judged when it begins."""
        await service.upload().whole(service.intent("k"), b"abc")
        with pytest.raises(KeyConflict):
            await resuming.case().begin(service.intent("k"), 3)
        with pytest.raises(PreconditionFailed):
            await resuming.begun(conditions=ABSENT)

    async def test_no_place_for_its_bytes(self, service: Any, resuming: Any) -> None:
        """Where the store fails, the row does not wait for its lease to end."""
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = FailingBlobStore(inner, methods={"begin_resumable"})
        with pytest.raises(Unavailable):
            await resuming.begun()
        await resuming.left_nothing()

    async def test_another_offset(self, service: Any, resuming: Any) -> None:
        """None of the bytes is taken, and the right offset is told."""
        ticket, case = await resuming.begun(), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        for offset in (0, 3, 5):
            with pytest.raises(OffsetMismatch) as refused:
                await case.append(ticket, offset, service.body(b"x"))
            assert refused.value.fields == {"offset": 4}
        assert (await case.progress(ticket)).offset == 4
        done = await case.append(ticket, 4, service.body(DATA[4:]))
        await resuming.stored(done.committed)

    async def test_more_than_was_announced(self, service: Any, resuming: Any) -> None:
        """What is announced to be too much is not read; what turns out to be is not stored."""
        ticket, case = await resuming.begun(), resuming.case()
        with pytest.raises(TooLarge):
            await case.append(ticket, 4, resuming.broken(), size_bytes=7)
        with pytest.raises(TooLarge):
            await case.append(ticket, 0, service.body(DATA, b"x"))
        offset = (await case.progress(ticket)).offset
        done = await case.append(ticket, offset, service.body(DATA[offset:]))
        await resuming.stored(done.committed)

    async def test_two_at_once(self, service: Any, resuming: Any) -> None:
        """One of them gets through; the other one is told to come again."""
        ticket, case = await resuming.begun(), resuming.case()
        sent = anyio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield DATA[:5]
            await sent.wait()
            yield DATA[5:]

        done = []

        async def append() -> None:
            done.append(await case.append(ticket, 0, slowly()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(UploadInUse):
                await resuming.case().append(ticket, 0, service.body(b"9876543210"))
            sent.set()
        await resuming.stored(done[0].committed)

    async def test_a_wrong_digest_ends_it(self, service: Any, resuming: Any) -> None:
        """Nothing is stored, and nothing is left to go on with."""
        ticket, case = await resuming.begun(expected=[WRONG]), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        with pytest.raises(DigestMismatch):
            await case.append(ticket, 4, service.body(DATA[4:]))
        await resuming.left_nothing()
        with pytest.raises(NotFound):
            await case.progress(ticket)

    async def test_a_precondition_that_is_lost_meanwhile_ends_it(
        self, service: Any, resuming: Any
    ) -> None:
        """It is judged again in the commit, where it counts."""
        ticket = await resuming.begun(conditions=ABSENT)
        other = await service.upload().whole(service.intent("k", replace=True), b"other")
        with pytest.raises(PreconditionFailed):
            await resuming.case().append(ticket, 0, service.body(DATA))
        assert await service.staged() == 0
        found = await service.metadata.objects.find(other.object.tenant_id, other.object.id)
        assert found is not None
        assert await service.content(found) == b"other"

    async def test_one_that_has_expired(self, service: Any, resuming: Any) -> None:
        """What the reaper took is gone, its bytes too; nobody brings it back."""
        ticket, case = await resuming.begun(), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        await service.clock.advance(3599)
        report = await service.collect().run()
        assert (report.reaped, report.swept) == (0, 0)
        assert (await case.progress(ticket)).offset == 4
        await service.clock.advance(2)
        assert (await service.collect().run()).reaped == 1
        with pytest.raises(NotFound):
            await case.append(ticket, 4, service.body(DATA[4:]))
        with pytest.raises(NotFound):
            await case.progress(ticket)
        with pytest.raises(NotFound):
            await case.give_up(ticket)
        await resuming.left_nothing()

    async def test_one_that_never_had_a_byte(self, service: Any, resuming: Any) -> None:
        """It has the short lease of any upload: a ticket that was lost holds its key no longer."""
        ticket = await resuming.begun()
        await service.clock.advance(service.limits.lease_s + 1)
        await service.collect().run()
        with pytest.raises(NotFound):
            await resuming.case().progress(ticket)
        await resuming.left_nothing()

    async def test_its_bytes_are_gone(self, service: Any, resuming: Any) -> None:
        """A volume that was lost is told as the end of it, not as an error for ever."""
        ticket, case = await resuming.begun(), resuming.case()
        await service.blobs[StorageClass.HOT].discard_resumable(ticket.upload_id)
        with pytest.raises(NotFound):
            await case.progress(ticket)
        with pytest.raises(NotFound):
            await case.append(ticket, 0, service.body(DATA))

    @pytest.mark.parametrize("asks", [True, False], ids=["asked about", "added to"])
    async def test_its_bytes_are_gone_and_its_key_is_free(
        self, service: Any, resuming: Any, *, asks: bool
    ) -> None:
        """The next one for the key need not wait for a lease to end."""
        case = resuming.case()
        ticket = case.ticket(await case.begin(service.intent("k"), len(DATA)))
        await case.append(ticket, 0, service.body(DATA[:4]))
        await service.blobs[StorageClass.HOT].discard_resumable(ticket.upload_id)
        call = case.progress(ticket) if asks else case.append(ticket, 4, service.body(DATA[4:]))
        with pytest.raises(NotFound):
            await call
        await resuming.left_nothing()
        await case.begin(service.intent("k"), len(DATA))

    async def test_given_up(self, service: Any, resuming: Any) -> None:
        """Nothing stays, and the key is free at once."""
        case = resuming.case()
        ticket = case.ticket(await case.begin(service.intent("k"), len(DATA)))
        await case.append(ticket, 0, service.body(DATA[:4]))
        await case.give_up(ticket)
        await resuming.left_nothing()
        with pytest.raises(NotFound):
            await case.give_up(ticket)
        await service.upload().whole(service.intent("k"), b"abc")

    async def test_given_up_and_stored_meanwhile(self, service: Any, resuming: Any) -> None:
        """What was stored first is not said to be given up."""
        ticket, case = await resuming.begun(), resuming.case()
        objects = service.metadata.objects

        async def store_first() -> None:
            await resuming.case(objects).append(ticket, 0, service.body(DATA))

        resuming.before("abort", store_first)
        with pytest.raises(NotFound, match="stored"):
            await resuming.case().give_up(ticket)
        await resuming.stored((await case.progress(ticket)).committed)

    async def test_given_up_under_a_body(self, service: Any, resuming: Any) -> None:
        """Its writer notices after a third of the short lease, however long it may rest."""
        service.limits = msgspec.structs.replace(service.limits, rate_min_bytes_s=0)
        ticket, case = await resuming.begun(), resuming.case(resumable_for_s=86_400.0)
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            yield DATA[:1]
            await case.give_up(ticket)
            for taken in range(1, 9):
                await service.clock.advance(service.limits.lease_s / 6 + 1)
                yield DATA[taken : taken + 1]

        with pytest.raises(UploadExpired):
            await case.append(ticket, 0, endless())
        assert taken == 2
        await resuming.left_nothing()
