"""Something goes away between the last byte and its answer."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import Corrupt, NotFound, Unavailable, UploadExpired
from juststorage.testing.faults import PausingBlobStore

DATA = b"0123456789"


class TestBrokenOffAtTheEnd:
    @pytest.mark.parametrize("done", [True, False])
    @pytest.mark.parametrize("method", ["reserve", "commit"])
    async def test_the_database_goes_away(
        self, service: Any, resuming: Any, method: str, done: bool
    ) -> None:
        """Whether or not it had happened, the same request again finishes it."""
        ticket = await resuming.begun()
        resuming.losing({method}, done=done)
        if method == "commit" and done:
            # Nobody has to come again: it is looked up.
            state = await resuming.case().append(ticket, 0, service.body(DATA))
        else:
            with pytest.raises(Unavailable):
                await resuming.case().append(ticket, 0, service.body(DATA))
            assert (await resuming.case().progress(ticket)).offset == len(DATA)
            report = await service.collect().run()
            assert (report.reaped, report.swept) == (0, 0)
            state = await resuming.case().append(ticket, len(DATA), service.body())
        await resuming.stored(state.committed)
        assert len(await service.placed()) == 1

    async def test_the_database_goes_away_right_after_the_commit(
        self, service: Any, resuming: Any
    ) -> None:
        """What is stored is answered so, with all that its row says."""
        intent = service.intent("k")
        intent = msgspec.structs.replace(
            intent, new=msgspec.structs.replace(intent.new, content_type="text/plain")
        )
        case = resuming.case()
        ticket = case.ticket(await case.begin(intent, len(DATA)))
        objects = service.metadata.objects
        resuming.losing({"find"}, done=False)
        state = await resuming.case().append(ticket, 0, service.body(DATA))
        service.metadata.objects = objects
        assert state.committed is not None and not state.committed.is_repeated
        assert state.committed.object.content_type == "text/plain"
        await resuming.stored(state.committed)

    async def test_a_medium_that_does_not_give_back_what_it_took(
        self, service: Any, resuming: Any
    ) -> None:
        """Other bytes never get the name of those that were reserved: it is over."""
        ticket = await resuming.begun()
        await resuming.not_placed(ticket)
        (staging,) = service.blobs[StorageClass.HOT].staging.values()
        staging.data[3] ^= 1
        with pytest.raises(Corrupt):
            await resuming.case().append(ticket, len(DATA), service.body())
        await resuming.left_nothing()
        assert await service.placed() == []
        with pytest.raises(NotFound):
            await resuming.case().progress(ticket)

    async def test_the_volume_goes_away(self, service: Any, resuming: Any) -> None:
        """What is reserved stays so, and is placed by the next one."""
        ticket = await resuming.begun()
        await resuming.not_placed(ticket)
        await service.collect().run()
        state = await resuming.case().append(ticket, len(DATA), service.body())
        await resuming.stored(state.committed)

    async def test_reaped_while_it_is_placed(self, service: Any, resuming: Any) -> None:
        """A lease that is over is not brought back: 409, nothing visible, nothing left."""
        ticket = await resuming.begun()
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = pausing = PausingBlobStore(inner, {"place"})
        ended: list[BaseException] = []

        async def append() -> None:
            try:
                await resuming.case().append(ticket, 0, service.body(DATA))
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
        await resuming.left_nothing()
        assert await service.placed() == []
