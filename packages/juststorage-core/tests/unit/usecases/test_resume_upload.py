"""Uploads in several requests through the memory stores: failure paths first."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import (
    Conditions,
    ContentHash,
    IdempotencyKey,
    ObjectStatus,
    StorageClass,
)
from juststorage.errors import (
    Corrupt,
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


def resuming(service: Any, objects: ObjectRepository | None = None, **changes: Any) -> ResumeUpload:
    """The use case, as another process would make it."""
    metadata = copy.copy(service.metadata)
    metadata.objects = objects or metadata.objects
    return ResumeUpload(
        metadata,
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
    # An answer that was kept does not say where the bytes are.
    found = await service.metadata.objects.find(committed.object.tenant_id, committed.object.id)
    assert await service.content(found) == DATA
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

    @pytest.mark.parametrize("asks", [True, False], ids=["asked about", "added to"])
    async def test_its_bytes_are_gone_and_its_key_is_free(
        self, service: Any, *, asks: bool
    ) -> None:
        """The next one for the key need not wait for a lease to end."""
        case = resuming(service)
        ticket = case.ticket(await case.begin(service.intent("k"), len(DATA)))
        await case.append(ticket, 0, service.body(DATA[:4]))
        await service.blobs[StorageClass.HOT].discard_resumable(ticket.upload_id)
        call = case.progress(ticket) if asks else case.append(ticket, 4, service.body(DATA[4:]))
        with pytest.raises(NotFound):
            await call
        await nothing_left(service)
        await case.begin(service.intent("k"), len(DATA))

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

    async def test_given_up_and_stored_meanwhile(self, service: Any) -> None:
        """What was stored first is not said to be given up."""
        ticket, case = await begun(service), resuming(service)
        objects = service.metadata.objects

        async def store_first() -> None:
            await resuming(service, objects).append(ticket, 0, service.body(DATA))

        service.metadata.objects = _Before(objects, "abort", store_first)
        with pytest.raises(NotFound, match="stored"):
            await resuming(service).give_up(ticket)
        await stored(service, (await case.progress(ticket)).committed)

    async def test_given_up_under_a_body(self, service: Any) -> None:
        """Its writer notices after a third of the short lease, however long it may rest."""
        service.limits = msgspec.structs.replace(service.limits, rate_min_bytes_s=0)
        ticket, case = await begun(service), resuming(service, resumable_for_s=86_400.0)
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
        await nothing_left(service)


class TestLeases:
    """How long it may rest, and what that takes."""

    async def reaped(self, service: Any, after_s: float) -> bool:
        """Whether it is over by then."""
        await service.clock.advance(after_s)
        return bool(await service.metadata.objects.reap(limit=9))

    async def test_what_brings_nothing_prolongs_nothing(self, service: Any) -> None:
        """A wrong offset, a body that is none, and a request while another one is at it."""
        ticket, case = await begun(service), resuming(service)
        short_s = service.limits.lease_s
        await service.clock.advance(short_s - 2)
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 4, service.body(DATA[4:]))
        async with await service.blobs[StorageClass.HOT].resume(ticket.upload_id):
            with pytest.raises(UploadInUse):
                await case.append(ticket, 0, service.body(DATA))
        with pytest.raises(ConnectionResetError):
            await case.append(ticket, 0, broken())
        assert not await self.reaped(service, 1)
        assert await self.reaped(service, short_s)

    async def test_an_empty_request_has_the_short_lease(self, service: Any) -> None:
        """And is told so."""
        ticket, case = await begun(service), resuming(service)
        state = await case.append(ticket, 0, service.body())
        assert state.lives_for_s == service.limits.lease_s
        assert await self.reaped(service, service.limits.lease_s + 1)

    @pytest.mark.parametrize("breaks", [False, True])
    async def test_bytes_that_were_kept_have_the_long_one(
        self, service: Any, *, breaks: bool
    ) -> None:
        """Whether or not the request that brought them came to its end."""
        data = bytes(range(256)) * 20_000
        case = resuming(service)
        ticket = case.ticket(await case.begin(service.intent("k"), len(data)))
        if breaks:
            with pytest.raises(ConnectionResetError):
                await case.append(ticket, 0, broken(data[:2_500_000], data[2_500_000:5_000_000]))
        else:
            state = await case.append(ticket, 0, service.body(DATA[:4]))
            assert state.lives_for_s == 3600.0
        assert not await self.reaped(service, 3599)
        assert await self.reaped(service, 2)

    async def test_another_offset_does_not_cut_it_short(self, service: Any) -> None:
        """What rests for long goes on resting for long."""
        ticket, case = await begun(service), resuming(service)
        await case.append(ticket, 0, service.body(DATA[:4]))
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 0, service.body(DATA))
        assert not await self.reaped(service, 3599)


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
            await case.append(ticket, 0, broken(data[:2_500_000], data[2_500_000:5_000_000]))
        offset = (await case.progress(ticket)).offset
        assert offset >= 2_500_000
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

    async def test_the_last_answer_is_lost_and_the_object_is_replaced(self, service: Any) -> None:
        """Whoever asks is told of what was stored, and has no reason to send it again."""
        ticket, case = await begun(service), resuming(service)
        done = await case.append(ticket, 0, service.body(DATA))
        other = await service.upload().whole(service.intent("k", replace=True), b"newer")
        for _ in range(2):
            await service.collect().run()
        scanned = await service.metadata.objects.scan(after=None, limit=9)
        assert [each.id for each in scanned] == [other.object.id]
        for again in (
            await case.progress(ticket),
            await case.append(ticket, len(DATA), service.body()),
        ):
            assert again.offset == len(DATA)
            assert again.committed is not None and again.committed.is_repeated
            assert again.committed.object.id == done.committed.object.id
        with pytest.raises(NotFound):
            await case.give_up(ticket)
        await service.clock.advance(3601)
        with pytest.raises(NotFound):
            await case.progress(ticket)

    async def test_a_request_with_a_key_like_that_of_its_answer(self, service: Any) -> None:
        """It is not taken for the end of the upload."""
        ticket, case = await begun(service), resuming(service)
        intent = msgspec.structs.replace(
            service.intent("other"),
            idempotency=IdempotencyKey(
                text=f"resumable-upload/{ticket.upload_id}", request="a digest", ttl_s=9000
            ),
        )
        await service.upload().whole(intent, b"abc")
        await case.give_up(ticket)
        with pytest.raises(NotFound):
            await case.progress(ticket)

    async def test_two_bring_the_end(self, service: Any) -> None:
        """Who comes second, after the look at the row and before the commit, has stored it too."""
        ticket, case = await begun(service), resuming(service)
        await case.append(ticket, 0, service.body(DATA[:4]))
        first = []

        async def store_first() -> None:
            # As if it had held the lock until just now.
            inner = service.blobs[StorageClass.HOT]
            entry = next(iter(inner.staging.values()))
            entry.is_open = False
            first.append(await resuming(service, objects).append(ticket, 4, service.body(DATA[4:])))

        objects = service.metadata.objects
        service.metadata.objects = _Before(objects, "renew", store_first)
        second = await resuming(service).append(ticket, 4, service.body(DATA[4:]))
        assert second.committed is not None and second.committed.is_repeated
        assert second.committed.object.id == first[0].committed.object.id
        await stored(service, second.committed)

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


class _Before(ObjectRepository):
    """Has something happen before a method is called, once."""

    def __init__(
        self, inner: ObjectRepository, method: str, happen: Callable[[], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._method = method
        self._happen = happen

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        found = getattr(self._inner, name)
        if name != self._method:
            return found
        self._method = ""

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._happen()
            return await found(*args, **kwargs)

        return call


_Before.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


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

    async def test_the_database_goes_away_right_after_the_commit(self, service: Any) -> None:
        """What is stored is answered so, with all that its row says."""
        intent = service.intent("k")
        intent = msgspec.structs.replace(
            intent, new=msgspec.structs.replace(intent.new, content_type="text/plain")
        )
        case = resuming(service)
        ticket = case.ticket(await case.begin(intent, len(DATA)))
        objects = service.metadata.objects
        service.metadata.objects = _Losing(objects, {"find"}, done=False)
        state = await resuming(service).append(ticket, 0, service.body(DATA))
        service.metadata.objects = objects
        assert state.committed is not None and not state.committed.is_repeated
        assert state.committed.object.content_type == "text/plain"
        await stored(service, state.committed)

    async def test_a_medium_that_does_not_give_back_what_it_took(self, service: Any) -> None:
        """Other bytes never get the name of those that were reserved: it is over."""
        ticket = await begun(service)
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = FailingBlobStore(inner, methods={"place"})
        with pytest.raises(Unavailable):
            await resuming(service).append(ticket, 0, service.body(DATA))
        service.blobs[StorageClass.HOT] = inner
        (staging,) = inner.staging.values()
        staging.data[3] ^= 1
        with pytest.raises(Corrupt):
            await resuming(service).append(ticket, len(DATA), service.body())
        await nothing_left(service)
        assert await service.placed() == []
        with pytest.raises(NotFound):
            await resuming(service).progress(ticket)

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
