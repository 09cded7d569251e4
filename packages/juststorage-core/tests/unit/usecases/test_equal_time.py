"""Uploads of what is stored already that take as long as those of what is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import StorageFull
from juststorage.ports import Committed, Space
from juststorage.testing.faults import WrappedBlobStore

Uploading = Callable[[bytes], Awaitable[Committed]]

NEW_S = 0.25
"""What a store takes for content that it does not have."""


class _SlowStore(WrappedBlobStore):
    """Its clock goes on by `NEW_S` while something gets its name, and so it says what it did."""

    def __init__(self, wrapped: Any, clock: Any) -> None:
        super().__init__(wrapped)
        self._clock = clock
        self.staged_ = 0
        self.free_bytes: int | None = None

    async def on(self, method: str) -> None:
        if method in {"put", "place"}:
            await self._clock.advance(NEW_S)
        if method == "stage":
            self.staged_ += 1

    async def space(self) -> Space | None:
        if self.free_bytes is None:
            return await super().space()
        return Space(total_bytes=1000, free_bytes=self.free_bytes)


@pytest.fixture
def store(service: Any) -> _SlowStore:
    """The hot store."""
    store = _SlowStore(service.blobs[StorageClass.HOT], service.clock)
    service.blobs[StorageClass.HOT] = store
    return store


@pytest.fixture(params=["whole", "stream", "in turns"])
def upload(request: Any, service: Any, store: _SlowStore) -> Uploading:
    """One service's way to upload, as all of one process take it."""
    once = service.upload(equal_time=True)
    resume = service.resume(equal_time=True)

    async def upload(data: bytes) -> Committed:
        intent = service.intent()
        if request.param == "whole":
            return await once.whole(intent, data)
        if request.param == "stream":
            return await once.stream(intent, service.body(data))
        ticket = resume.ticket(await resume.begin(intent, len(data)))
        state = await resume.append(ticket, 0, service.body(data))
        assert state.committed is not None
        return state.committed

    return upload


async def _goes_on_after_waiting(service: Any, uploading: Awaitable[Committed]) -> Committed:
    """What an upload comes to that waits by the clock for `NEW_S`, and no less."""
    done: list[Committed] = []

    async def run() -> None:
        done.append(await uploading)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(10):
            while not service.clock.sleepers:
                assert not done, "it did not wait"
                await anyio.lowlevel.checkpoint()
        await service.clock.advance(NEW_S * 0.9)
        await anyio.wait_all_tasks_blocked()
        assert not done
        await service.clock.advance(NEW_S * 0.2)
    return done[0]


async def test_stored_content_takes_as_long_as_new_content(service: Any, upload: Uploading) -> None:
    """Of about the same size, whoever has stored it."""
    await upload(b"a" * 100)
    committed = await _goes_on_after_waiting(service, upload(b"a" * 100))
    assert await service.content(committed.object) == b"a" * 100
    # Of another size than any that was seen: the nearest.
    await upload(b"b")
    again = await _goes_on_after_waiting(service, upload(b"b"))
    assert await service.content(again.object) == b"b"


async def test_the_first_after_a_start_costs_what_a_new_one_costs(
    service: Any, store: _SlowStore, upload: Uploading
) -> None:
    """Nothing is known yet of new content, so it is written, and dropped."""
    await service.upload().whole(service.intent(), b"abc")
    before, placed = store.staged_, await service.placed()
    committed = await upload(b"abc")
    assert await service.content(committed.object) == b"abc"
    assert store.staged_ > before
    assert await service.placed() == placed
    assert await service.staged() == 0


async def test_one_that_is_given_up_while_it_waits_is_stored(
    service: Any, upload: Uploading
) -> None:
    """Its client has heard of nothing; what it has counted on stays counted."""
    await upload(b"abc")
    with anyio.move_on_after(0.2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload, b"abc")
            while not service.clock.sleepers:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            await service.clock.advance(NEW_S)
    objects = await service.metadata.objects.scan(after=None, limit=100)
    assert [stored.status for stored in objects] == ["COMMITTED", "COMMITTED"]
    [blob] = await service.metadata.blobs.scan(after=None, limit=100)
    assert blob.ref_count == 2


async def test_a_full_store_refuses_what_is_stored_as_well(service: Any, store: _SlowStore) -> None:
    """That it is taken where new content is not would tell."""
    upload = service.upload(equal_time=True)
    await upload.whole(service.intent(), b"abc")
    store.free_bytes = 0
    for data in (b"abc", b"new"):
        with pytest.raises(StorageFull):
            await upload.whole(service.intent(), data)
    assert len(await service.metadata.objects.scan(after=None, limit=100)) == 1


async def test_without_it_nobody_waits(service: Any, store: _SlowStore) -> None:
    """What is stored is answered as soon as it is known to be."""
    upload = service.upload()
    await upload.whole(service.intent(), b"abc")
    began = service.clock.monotonic()
    await upload.whole(service.intent(), b"abc")
    assert service.clock.monotonic() == began
