"""In as many requests as it takes, by one process or several."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from juststorage.domain import ContentHash, IdempotencyKey, StorageClass
from juststorage.errors import NotFound, OffsetMismatch

DATA = b"0123456789"
HASH = ContentHash("sha256:" + hashlib.sha256(DATA).hexdigest())


class TestGoingOn:
    @pytest.mark.parametrize("step", [1, 3, 10])
    @pytest.mark.parametrize("processes", [1, 2])
    async def test_in_any_number_of_requests(
        self, service: Any, resuming: Any, step: int, processes: int
    ) -> None:
        """By one process or by several, what is stored is what was sent."""
        ticket = await resuming.begun(expected=[HASH])
        cases = [resuming.case() for _ in range(processes)]
        for turn, offset in enumerate(range(0, len(DATA), step)):
            case = cases[turn % processes]
            assert (await case.progress(ticket)).offset == offset
            state = await case.append(ticket, offset, service.body(DATA[offset : offset + step]))
            assert state.offset == min(len(DATA), offset + step)
            assert (state.committed is None) == (state.offset < len(DATA))
        await resuming.stored(state.committed)

    async def test_an_empty_one(self, service: Any, resuming: Any) -> None:
        """It is stored by a request without a byte."""
        case = resuming.case()
        ticket = case.ticket(await case.begin(service.intent("k"), 0))
        done = await case.append(ticket, 0, service.body())
        assert done.committed is not None
        assert await service.content(done.committed.object) == b""

    async def test_bytes_that_are_stored_already(self, service: Any, resuming: Any) -> None:
        """They are not placed a second time, and what was staged goes."""
        await service.upload().whole(service.intent("other"), DATA)
        done = await resuming.case().append(await resuming.begun(), 0, service.body(DATA))
        await resuming.stored(done.committed)
        assert len(await service.placed()) == 1

    async def test_what_the_row_knows_is_answered(self, service: Any, resuming: Any) -> None:
        """Content type and replaced object are those of the upload's beginning and end."""
        old = await service.upload().whole(service.intent("k"), b"old")
        intent = service.intent("k", replace=True)
        intent = msgspec.structs.replace(
            intent, new=msgspec.structs.replace(intent.new, content_type="text/plain")
        )
        case = resuming.case()
        ticket = case.ticket(await case.begin(intent, len(DATA)))
        done = await case.append(ticket, 0, service.body(DATA))
        assert done.committed is not None
        assert done.committed.object.content_type == "text/plain"
        assert done.committed.replaced == old.object.id

    async def test_the_last_answer_is_lost(self, service: Any, resuming: Any) -> None:
        """Asked for, or sent again without a byte, it is the same; another offset is refused."""
        ticket, case = await resuming.begun(), resuming.case()
        done = await case.append(ticket, 0, service.body(DATA))
        assert done.committed is not None and not done.committed.is_repeated
        await resuming.same_answer(ticket, done.committed)
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 0, service.body(DATA))
        with pytest.raises(NotFound):
            await case.give_up(ticket)

    async def test_the_last_answer_is_lost_and_the_object_is_replaced(
        self, service: Any, resuming: Any
    ) -> None:
        """Whoever asks is told of what was stored, and has no reason to send it again."""
        ticket, case = await resuming.begun(), resuming.case()
        done = await case.append(ticket, 0, service.body(DATA))
        other = await service.upload().whole(service.intent("k", replace=True), b"newer")
        for _ in range(2):
            await service.collect().run()
        scanned = await service.metadata.objects.scan(after=None, limit=9)
        assert [each.id for each in scanned] == [other.object.id]
        await resuming.same_answer(ticket, done.committed)
        with pytest.raises(NotFound):
            await case.give_up(ticket)
        await service.clock.advance(3601)
        with pytest.raises(NotFound):
            await case.progress(ticket)

    async def test_a_request_with_a_key_like_that_of_its_answer(
        self, service: Any, resuming: Any
    ) -> None:
        """It is not taken for the end of the upload."""
        ticket, case = await resuming.begun(), resuming.case()
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

    async def test_two_bring_the_end(self, service: Any, resuming: Any) -> None:
        """Who comes second, after the look at the row and before the commit, has stored it too."""
        ticket, case = await resuming.begun(), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        first = []

        async def store_first() -> None:
            # As if it had held the lock until just now.
            inner = service.blobs[StorageClass.HOT]
            entry = next(iter(inner.staging.values()))
            entry.is_open = False
            first.append(await resuming.case(objects).append(ticket, 4, service.body(DATA[4:])))

        objects = service.metadata.objects
        resuming.before("renew", store_first)
        second = await resuming.case().append(ticket, 4, service.body(DATA[4:]))
        assert second.committed is not None and second.committed.is_repeated
        assert second.committed.object.id == first[0].committed.object.id
        await resuming.stored(second.committed)

    async def test_a_resting_upload_is_no_finding_and_no_garbage(
        self, service: Any, resuming: Any
    ) -> None:
        """A collector without any grace leaves it alone for as long as its lease goes."""
        ticket, case = await resuming.begun(), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        for _ in range(3):
            report = await service.collect().run()
            assert (report.reaped, report.swept, report.errors) == (0, 0, 0)
            await service.clock.advance(1000)
        done = await case.append(ticket, 4, service.body(DATA[4:]))
        await resuming.stored(done.committed)
