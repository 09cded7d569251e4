"""Opening a backend in a test: what it gets, and how its end and its failures come out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import BackendError, Misconfigured
from juststorage.plugins import HasherBackend, NoOptions, OpenContext
from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.ports import Hasher, HashState
from juststorage.testing import FakeClock, open_backend, open_context

pytest_plugins = ["juststorage.testing.fixtures"]


class Odd(Hasher):
    """Breaks its contract."""

    algorithm = "odd"

    def new(self) -> HashState:
        raise RuntimeError("a driver's text")


def backend(name: str, open_it: object) -> HasherBackend[NoOptions]:
    """A descriptor of the test."""
    return HasherBackend(name=name, summary="x", options=NoOptions, open=open_it)  # type: ignore[arg-type]


async def test_a_failing_open_comes_out_as_it_is() -> None:
    """Not in an exception group: a test says `pytest.raises(Misconfigured)`."""

    @asynccontextmanager
    async def refuse(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
        raise Misconfigured("the schema is outdated")
        yield Odd()

    with pytest.raises(Misconfigured, match="outdated"):
        async with open_backend(backend("refusing", refuse)):
            pass


async def test_a_failing_block_comes_out_as_it_is() -> None:
    """Whatever the body raises, an assertion of pytest included."""
    with pytest.raises(pytest.fail.Exception, match="told to"):
        async with open_backend(MEMORY_BLOBS):
            pytest.fail("told to")


async def test_a_service_is_guarded() -> None:
    """What a backend forgot to translate is a BackendError with its name, as in production."""

    @asynccontextmanager
    async def open_odd(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
        yield Odd()

    async with open_backend(backend("odd", open_odd)) as hasher:
        with pytest.raises(BackendError, match=r"hasher\.odd") as breach:
            hasher.new()
    assert "driver" not in str(breach.value)


async def test_background_work_ends_before_the_backend(tmp_path: Path) -> None:
    """It runs while the block does, and is over when the backend closes."""
    events: list[str] = []
    started = anyio.Event()

    async def work() -> None:
        try:
            started.set()
            await anyio.sleep_forever()
        finally:
            events.append("work ended")

    async def short() -> None:
        events.append("short ran")

    @asynccontextmanager
    async def open_it(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
        context.background("work", work)
        context.background("short", short)
        yield Odd()
        events.append("backend closed")

    async with open_backend(backend("working", open_it), data_dir=tmp_path):
        await started.wait()
    assert events == ["short ran", "work ended", "backend closed"]


async def test_background_work_that_crashes_ends_the_test() -> None:
    """The block is cancelled, and the crash comes out in a group."""

    async def crash() -> None:
        raise ValueError("boom")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="boom")):
        async with open_context() as context:
            context.background("crash", crash)
            await anyio.sleep_forever()


async def test_a_context_has_what_a_backend_may_use(tmp_path: Path, fake_clock: FakeClock) -> None:
    """What is given is passed on, what is not has a default that goes away."""
    async with open_context("blobs.hot", clock=fake_clock, data_dir=tmp_path) as context:
        assert (context.clock, context.data_dir) == (fake_clock, tmp_path)
        assert context.instance == "blobs.hot"
        assert context.logger.name.endswith("blobs.hot")
    async with open_context(storage_class=StorageClass.COLD) as context:
        own = context.data_dir
        assert await anyio.Path(own).is_dir()
        assert context.storage_class is StorageClass.COLD
    assert not await anyio.Path(own).exists()
    assert await anyio.Path(tmp_path).exists()
