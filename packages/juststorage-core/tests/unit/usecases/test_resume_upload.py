"""Uploads in several requests through the memory stores: failure paths first."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import Conditions, ContentHash, ObjectStatus, StorageClass
from juststorage.errors import (
    DigestMismatch,
    Invalid,
    KeyConflict,
    NotFound,
    OffsetMismatch,
    PreconditionFailed,
    StorageFull,
    TooLarge,
    TooSlow,
    Unavailable,
    UnsupportedOperation,
    UploadExpired,
    UploadInUse,
)
from juststorage.plugins import BlobCapabilities
from juststorage.plugins._guards import Where, guard
from juststorage.ports import BlobStore, Committed, Lease, ObjectRepository, Space
from juststorage.testing.faults import FailingBlobStore, PausingBlobStore
from juststorage.usecases import ResumeUpload, TicketCodec, UploadTicket

DATA = b"0123456789"
HASH = ContentHash("sha256:" + hashlib.sha256(DATA).hexdigest())
WRONG = ContentHash("sha256:" + "0" * 64)
ABSENT = Conditions(if_none_match=frozenset())


def resuming(service: Any, **changes: Any) -> ResumeUpload:
    """The use case, as another process would make it."""
    return ResumeUpload(
        service.metadata,
        service.blobs,
        service.hashers,
        algorithm="sha256",
        clock=service.clock,
        limits=service.limits,
        codec=TicketCodec(b"s" * 32),
        **{"resumable_for_s": 3600.0, **changes},
    )


async def begun(service: Any, *, key: str | None = "k", **how: Any) -> UploadTicket:
    """The ticket of an upload of `DATA`."""
    expected = how.pop("expected", ())
    case = resuming(service)
    intent = service.intent(key, replace=key is not None, **how)
    return case.ticket(await case.begin(intent, len(DATA), expected=expected))


async def broken(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body whose client goes away."""
    for chunk in chunks:
        yield chunk
    raise ConnectionResetError


async def nothing_left(service: Any) -> None:
    """No object lives, nothing is staged, and no blob has a reference."""
    objects = await service.metadata.objects.scan(after=None, limit=100)
    assert {stored.status for stored in objects} <= {ObjectStatus.DELETED}
    assert await service.staged() == 0
    assert all(b.ref_count == 0 for b in await service.metadata.blobs.scan(after=None, limit=100))


async def stored(service: Any, committed: Committed | None) -> None:
    """It is `DATA`, readable, and nothing else is left."""
    assert committed is not None
    assert committed.object.content_hash == HASH
    assert committed.object.size_bytes == len(DATA)
    assert await service.content(committed.object) == DATA
    assert await service.staged() == 0


class TestRefusals:
    async def test_a_store_that_cannot(self, service: Any) -> None:
        """It is refused before anything is begun."""
        inner = service.blobs[StorageClass.HOT]
        where = Where("blobs.hot", None, BlobCapabilities())
        service.blobs[StorageClass.HOT] = guard(inner, BlobStore, where)
        with pytest.raises(UnsupportedOperation):
            await begun(service)
        assert await service.metadata.objects.scan(after=None, limit=9) == []

    async def test_too_large_and_no_room(self, service: Any) -> None:
        """By the announced length, before a byte is sent."""

        class Full(FailingBlobStore):
            async def space(self) -> Space:
                return Space(total_bytes=100, free_bytes=len(DATA) - 1)

        case = resuming(service)
        with pytest.raises(TooLarge):
            await case.begin(service.intent(), service.limits.bytes_max + 1)
        service.blobs[StorageClass.HOT] = Full(service.blobs[StorageClass.HOT])
        with pytest.raises(StorageFull):
            await resuming(service).begin(service.intent(), len(DATA))
        assert await service.metadata.objects.scan(after=None, limit=9) == []

    async def test_a_digest_that_nobody_can_check(self, service: Any) -> None:
        """It is not silently ignored."""
        with pytest.raises(Invalid, match="blake3"):
            await begun(service, expected=[ContentHash("blake3:" + "0" * 64)])

    async def test_the_key_says_no(self, service: Any) -> None:
        """A held key, and a precondition, are judged when it begins."""
        await service.upload().whole(service.intent("k"), b"abc")
        with pytest.raises(KeyConflict):
            await resuming(service).begin(service.intent("k"), 3)
        with pytest.raises(PreconditionFailed):
            await begun(service, conditions=ABSENT)

    async def test_no_place_for_its_bytes(self, service: Any) -> None:
        """Where the store fails, the row does not wait for its lease to end."""
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = FailingBlobStore(inner, methods={"begin_resumable"})
        with pytest.raises(Unavailable):
            await begun(service)
        await nothing_left(service)

    async def test_another_offset(self, service: Any) -> None:
        """None of the bytes is taken, and the right offset is told."""
        ticket, case = await begun(service), resuming(service)
        await case.append(ticket, 0, service.body(DATA[:4]))
        for offset in (0, 3, 5):
            with pytest.raises(OffsetMismatch) as refused:
                await case.append(ticket, offset, service.body(b"x"))
            assert refused.value.fields == {"offset": 4}
        assert (await case.progress(ticket)).offset == 4
        done = await case.append(ticket, 4, service.body(DATA[4:]))
        await stored(service, done.committed)

    async def test_more_than_was_announced(self, service: Any) -> None:
        """What is announced to be too much is not read; what turns out to be is not stored."""
        ticket, case = await begun(service), resuming(service)
        with pytest.raises(TooLarge):
            await case.append(ticket, 4, broken(), size_bytes=7)
        with pytest.raises(TooLarge):
            await case.append(ticket, 0, service.body(DATA, b"x"))
        offset = (await case.progress(ticket)).offset
        done = await case.append(ticket, offset, service.body(DATA[offset:]))
        await stored(service, done.committed)

    async def test_two_at_once(self, service: Any) -> None:
        """One of them gets through; the other one is told to come again."""
        ticket, case = await begun(service), resuming(service)
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
                await resuming(service).append(ticket, 0, service.body(b"9876543210"))
            sent.set()
        await stored(service, done[0].committed)

    async def test_a_wrong_digest_ends_it(self, service: Any) -> None:
        """Nothing is stored, and nothing is left to go on with."""
        ticket, case = await begun(service, expected=[WRONG]), resuming(service)
        await case.append(ticket, 0, service.body(DATA[:4]))
        with pytest.raises(DigestMismatch):
            await case.append(ticket, 4, service.body(DATA[4:]))
        await nothing_left(service)
        with pytest.raises(NotFound):
            await case.progress(ticket)

    async def test_a_precondition_that_is_lost_meanwhile_ends_it(self, service: Any) -> None:
        """It is judged again in the commit, where it counts."""
        ticket = await begun(service, conditions=ABSENT)
        other = await service.upload().whole(service.intent("k", replace=True), b"other")
        with pytest.raises(PreconditionFailed):
            await resuming(service).append(ticket, 0, service.body(DATA))
        assert await service.staged() == 0
        found = await service.metadata.objects.find(other.object.tenant_id, other.object.id)
        assert found is not None
        assert await service.content(found) == b"other"

    async def test_one_that_has_expired(self, service: Any) -> None:
        """What the reaper took is gone, its bytes too; nobody brings it back."""
        ticket, case = await begun(service), resuming(service)
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
        await nothing_left(service)

    async def test_one_that_never_had_a_byte(self, service: Any) -> None:
        """It has the short lease of any upload: a ticket that was lost holds its key no longer."""
        ticket = await begun(service)
        await service.clock.advance(service.limits.lease_s + 1)
        await service.collect().run()
        with pytest.raises(NotFound):
            await resuming(service).progress(ticket)
        await nothing_left(service)

    async def test_its_bytes_are_gone(self, service: Any) -> None:
        """A volume that was lost is told as the end of it, not as an error for ever."""
        ticket, case = await begun(service), resuming(service)
        await service.blobs[StorageClass.HOT].discard_resumable(ticket.upload_id)
        with pytest.raises(NotFound):
            await case.progress(ticket)
        with pytest.raises(NotFound):
            await case.append(ticket, 0, service.body(DATA))

    async def test_given_up(self, service: Any) -> None:
        """Nothing stays, and the key is free at once."""
        case = resuming(service)
        ticket = case.ticket(await case.begin(service.intent("k"), len(DATA)))
        await case.append(ticket, 0, service.body(DATA[:4]))
        await case.give_up(ticket)
        await nothing_left(service)
        with pytest.raises(NotFound):
            await case.give_up(ticket)
        await service.upload().whole(service.intent("k"), b"abc")


class TestBreaks:
    async def test_the_client_goes(self, service: Any) -> None:
        """What came is kept, and the error comes out as it is."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=5)
        ticket = await begun(service)
        with pytest.raises(ConnectionResetError):
            await resuming(service).append(ticket, 0, broken(DATA[:3] * 1, b""))
        state = await resuming(service).progress(ticket)
        assert state.offset in {0, 3}
        done = await resuming(service).append(
            ticket, state.offset, service.body(DATA[state.offset :])
        )
        await stored(service, done.committed)

    async def test_large_chunks_before_the_break_are_kept(self, service: Any) -> None:
        """More than is gathered in memory has been written, and counts."""
        data = bytes(range(256)) * 20_000
        case = resuming(service)
        ticket = case.ticket(await case.begin(service.intent("k"), len(data)))
        with pytest.raises(ConnectionResetError):
            await case.append(ticket, 0, broken(data[:2_000_000], data[2_000_000:4_000_000]))
        offset = (await case.progress(ticket)).offset
        assert offset >= 2_000_000
        done = await case.append(ticket, offset, service.body(data[offset:]))
        assert done.committed is not None
        assert await service.content(done.committed.object) == data

    async def test_a_body_that_stands_still(self, service: Any) -> None:
        """It is too slow, and what came before is kept all the same."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=0.01)
        ticket = await begun(service)

        async def stuck() -> AsyncIterator[bytes]:
            yield DATA[:4]
            await anyio.sleep_forever()

        with pytest.raises(TooSlow):
            await resuming(service).append(ticket, 0, stuck())
        offset = (await resuming(service).progress(ticket)).offset
        done = await resuming(service).append(ticket, offset, service.body(DATA[offset:]))
        await stored(service, done.committed)

    async def test_cancelled(self, service: Any) -> None:
        """A server that stops keeps what it was given, and lets go of it."""
        ticket = await begun(service)

        async def stuck() -> AsyncIterator[bytes]:
            yield DATA[:4]
            await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resuming(service).append, ticket, 0, stuck())
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        offset = (await resuming(service).progress(ticket)).offset
        done = await resuming(service).append(ticket, offset, service.body(DATA[offset:]))
        await stored(service, done.committed)

    async def test_the_store_fails_to_keep(self, service: Any) -> None:
        """What is told is what was wrong first, and what was kept before stays."""
        ticket = await begun(service)
        await resuming(service).append(ticket, 0, service.body(DATA[:4]))
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = _NotKeeping(inner)
        with pytest.raises(ConnectionResetError):
            await resuming(service).append(ticket, 4, broken(DATA[4:6]))
        with pytest.raises(StorageFull):
            await resuming(service).append(ticket, 4, service.body(DATA[4:6]))
        service.blobs[StorageClass.HOT] = inner
        assert (await resuming(service).progress(ticket)).offset == 4
        done = await resuming(service).append(ticket, 4, service.body(DATA[4:]))
        await stored(service, done.committed)


class _NotKeeping(FailingBlobStore):
    async def resume(self, upload_id: Any) -> Any:
        resumed = await super().resume(upload_id)

        async def keep() -> None:
            raise StorageFull("no room")

        resumed.keep = keep  # type: ignore[method-assign]
        return resumed


class TestGoingOn:
    @pytest.mark.parametrize("step", [1, 3, 10])
    @pytest.mark.parametrize("processes", [1, 2])
    async def test_in_any_number_of_requests(self, service: Any, step: int, processes: int) -> None:
        """By one process or by several, what is stored is what was sent."""
        ticket = await begun(service, expected=[HASH])
        cases = [resuming(service) for _ in range(processes)]
        for turn, offset in enumerate(range(0, len(DATA), step)):
            case = cases[turn % processes]
            assert (await case.progress(ticket)).offset == offset
            state = await case.append(ticket, offset, service.body(DATA[offset : offset + step]))
            assert state.offset == min(len(DATA), offset + step)
            assert (state.committed is None) == (state.offset < len(DATA))
        await stored(service, state.committed)

    async def test_an_empty_one(self, service: Any) -> None:
        """It is stored by a request without a byte."""
        case = resuming(service)
        ticket = case.ticket(await case.begin(service.intent("k"), 0))
        done = await case.append(ticket, 0, service.body())
        assert done.committed is not None
        assert await service.content(done.committed.object) == b""

    async def test_bytes_that_are_stored_already(self, service: Any) -> None:
        """They are not placed a second time, and what was staged goes."""
        await service.upload().whole(service.intent("other"), DATA)
        done = await resuming(service).append(await begun(service), 0, service.body(DATA))
        await stored(service, done.committed)
        assert len(await service.placed()) == 1

    async def test_what_the_row_knows_is_answered(self, service: Any) -> None:
        """Content type and replaced object are those of the upload's beginning and end."""
        old = await service.upload().whole(service.intent("k"), b"old")
        intent = service.intent("k", replace=True)
        intent = msgspec.structs.replace(
            intent, new=msgspec.structs.replace(intent.new, content_type="text/plain")
        )
        case = resuming(service)
        ticket = case.ticket(await case.begin(intent, len(DATA)))
        done = await case.append(ticket, 0, service.body(DATA))
        assert done.committed is not None
        assert done.committed.object.content_type == "text/plain"
        assert done.committed.replaced == old.object.id

    async def test_the_last_answer_is_lost(self, service: Any) -> None:
        """Asked for, or sent again without a byte, it is the same; another offset is refused."""
        ticket, case = await begun(service), resuming(service)
        done = await case.append(ticket, 0, service.body(DATA))
        assert done.committed is not None and not done.committed.is_repeated
        for again in (
            await case.progress(ticket),
            await case.append(ticket, len(DATA), service.body()),
        ):
            assert again.offset == len(DATA)
            assert again.committed is not None and again.committed.is_repeated
            assert again.committed.object.id == done.committed.object.id
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 0, service.body(DATA))
        with pytest.raises(NotFound):
            await case.give_up(ticket)

    async def test_a_resting_upload_is_no_finding_and_no_garbage(self, service: Any) -> None:
        """A collector without any grace leaves it alone for as long as its lease goes."""
        ticket, case = await begun(service), resuming(service)
        await case.append(ticket, 0, service.body(DATA[:4]))
        for _ in range(3):
            report = await service.collect().run()
            assert (report.reaped, report.swept, report.errors) == (0, 0, 0)
            await service.clock.advance(1000)
        done = await case.append(ticket, 4, service.body(DATA[4:]))
        await stored(service, done.committed)


class _Losing(ObjectRepository):
    """Makes the call, and loses its answer: once, for each method that is named."""

    def __init__(self, inner: ObjectRepository, methods: set[str], *, done: bool) -> None:
        self._inner = inner
        self._methods = methods
        self._done = done

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found
        self._methods.discard(name)

        async def lose(*args: Any, **kwargs: Any) -> Any:
            if self._done:
                await found(*args, **kwargs)
            raise Unavailable("the answer was lost")

        return lose


_Losing.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class TestBrokenOffAtTheEnd:
    @pytest.mark.parametrize("done", [True, False])
    @pytest.mark.parametrize("method", ["reserve", "commit"])
    async def test_the_database_goes_away(self, service: Any, method: str, done: bool) -> None:
        """Whether or not it had happened, the same request again finishes it."""
        ticket = await begun(service)
        objects = service.metadata.objects
        service.metadata.objects = _Losing(objects, {method}, done=done)
        if method == "commit" and done:
            # Nobody has to come again: it is looked up.
            state = await resuming(service).append(ticket, 0, service.body(DATA))
        else:
            with pytest.raises(Unavailable):
                await resuming(service).append(ticket, 0, service.body(DATA))
            assert (await resuming(service).progress(ticket)).offset == len(DATA)
            report = await service.collect().run()
            assert (report.reaped, report.swept) == (0, 0)
            state = await resuming(service).append(ticket, len(DATA), service.body())
        await stored(service, state.committed)
        assert len(await service.placed()) == 1

    async def test_the_volume_goes_away(self, service: Any) -> None:
        """What is reserved stays so, and is placed by the next one."""
        ticket = await begun(service)
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = FailingBlobStore(inner, methods={"place"})
        with pytest.raises(Unavailable):
            await resuming(service).append(ticket, 0, service.body(DATA))
        service.blobs[StorageClass.HOT] = inner
        await service.collect().run()
        state = await resuming(service).append(ticket, len(DATA), service.body())
        await stored(service, state.committed)

    async def test_reaped_while_it_is_placed(self, service: Any) -> None:
        """A lease that is over is not brought back: 409, nothing visible, nothing left."""
        ticket = await begun(service)
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = pausing = PausingBlobStore(inner, {"place"})
        ended: list[BaseException] = []

        async def append() -> None:
            try:
                await resuming(service).append(ticket, 0, service.body(DATA))
            except UploadExpired as error:
                ended.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append)
            await pausing.reached("place")
            await service.clock.advance(4000)
            assert (await service.metadata.objects.reap(limit=9)) == [ticket.upload_id]
            pausing.release("place")
        assert [type(each).__name__ for each in ended] == ["UploadExpired"]
        await service.collect().run()
        await service.collect().run()
        await nothing_left(service)
        assert await service.placed() == []


class TestTickets:
    async def test_every_part_of_it_comes_back(self, service: Any) -> None:
        """What begin was told is what the last request acts by."""
        conditions = Conditions(if_match=frozenset({HASH, WRONG}), if_none_match=frozenset())
        intent = service.intent("ключ/ß", replace=True, conditions=conditions)
        lease = Lease(intent=intent, object=(await begun(service)).lease.object, epoch=7)
        lease = msgspec.structs.replace(
            lease, object=msgspec.structs.replace(lease.object, key=intent.new.key)
        )
        codec = TicketCodec(b"s" * 32)
        ticket = UploadTicket(lease=lease, size_bytes=2**40, expected=(HASH,))
        again = codec.decode(codec.encode(ticket))
        assert again.lease.intent.conditions == conditions
        assert again.lease.intent.replace is True
        assert (again.lease.object, again.lease.epoch) == (lease.object, 7)
        assert (again.size_bytes, again.expected) == (2**40, (HASH,))

    async def test_what_was_not_signed_here(self, service: Any) -> None:
        """Whatever is changed, cut off or made up, there is no such upload."""
        codec = TicketCodec(b"s" * 32)
        text = codec.encode(await begun(service))
        for forged in (
            "", "x", text[:-1], text + "AAAA", text[:5] + chr(ord(text[5]) ^ 1) + text[6:],
            "é" + text, "%" + text, "A" * 100, "A" * 40_000,
            TicketCodec(b"t" * 32).encode(codec.decode(text)),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                codec.decode(forged)
