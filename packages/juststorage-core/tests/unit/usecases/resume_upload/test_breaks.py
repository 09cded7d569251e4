"""Requests that break off: what came before is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import StorageFull, TooSlow
from juststorage.testing.faults import FailingBlobStore

DATA = b"0123456789"


class TestBreaks:
    async def test_the_client_goes(self, service: Any, resuming: Any) -> None:
        """What came is kept, and the error comes out as it is."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=5)
        ticket = await resuming.begun()
        with pytest.raises(ConnectionResetError):
            await resuming.case().append(ticket, 0, resuming.broken(DATA[:3] * 1, b""))
        state = await resuming.case().progress(ticket)
        assert state.offset in {0, 3}
        done = await resuming.case().append(
            ticket, state.offset, service.body(DATA[state.offset :])
        )
        await resuming.stored(done.committed)

    async def test_large_chunks_before_the_break_are_kept(
        self, service: Any, resuming: Any
    ) -> None:
        """More than is gathered in memory has been written, and counts."""
        data = bytes(range(256)) * 20_000
        case = resuming.case()
        ticket = case.ticket(await case.begin(service.intent("k"), len(data)))
        with pytest.raises(ConnectionResetError):
            await case.append(
                ticket, 0, resuming.broken(data[:2_500_000], data[2_500_000:5_000_000])
            )
        offset = (await case.progress(ticket)).offset
        assert offset >= 2_500_000
        done = await case.append(ticket, offset, service.body(data[offset:]))
        assert done.committed is not None
        assert await service.content(done.committed.object) == data

    async def test_a_body_that_stands_still(self, service: Any, resuming: Any) -> None:
        """It is too slow, and what came before is kept all the same."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=0.01)
        ticket = await resuming.begun()

        async def stuck() -> AsyncIterator[bytes]:
            yield DATA[:4]
            await anyio.sleep_forever()

        with pytest.raises(TooSlow):
            await resuming.case().append(ticket, 0, stuck())
        offset = (await resuming.case().progress(ticket)).offset
        done = await resuming.case().append(ticket, offset, service.body(DATA[offset:]))
        await resuming.stored(done.committed)

    async def test_cancelled(self, service: Any, resuming: Any) -> None:
        """A server that stops keeps what it was given, and lets go of it."""
        ticket = await resuming.begun()

        async def stuck() -> AsyncIterator[bytes]:
            yield DATA[:4]
            await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resuming.case().append, ticket, 0, stuck())
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        offset = (await resuming.case().progress(ticket)).offset
        done = await resuming.case().append(ticket, offset, service.body(DATA[offset:]))
        await resuming.stored(done.committed)

    async def test_the_store_fails_to_keep(self, service: Any, resuming: Any) -> None:
        """What is told is what was wrong first, and what was kept before stays."""
        ticket = await resuming.begun()
        await resuming.case().append(ticket, 0, service.body(DATA[:4]))
        inner = service.blobs[StorageClass.HOT]
        service.blobs[StorageClass.HOT] = _NotKeeping(inner)
        with pytest.raises(ConnectionResetError):
            await resuming.case().append(ticket, 4, resuming.broken(DATA[4:6]))
        with pytest.raises(StorageFull):
            await resuming.case().append(ticket, 4, service.body(DATA[4:6]))
        service.blobs[StorageClass.HOT] = inner
        assert (await resuming.case().progress(ticket)).offset == 4
        done = await resuming.case().append(ticket, 4, service.body(DATA[4:]))
        await resuming.stored(done.committed)


class _NotKeeping(FailingBlobStore):
    async def resume(self, upload_id: Any) -> Any:
        resumed = await super().resume(upload_id)

        async def keep() -> None:
            raise StorageFull("no room")

        resumed.keep = keep  # type: ignore[method-assign]
        return resumed
