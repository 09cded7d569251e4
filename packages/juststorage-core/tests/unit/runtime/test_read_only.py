"""Read-only mode: what one process is told, the others follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from juststorage.errors import Unavailable
from juststorage.metrics import SERVICE_FAMILIES, Table
from juststorage.plugins import MetadataStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins.memory._metadata_store import MemoryMetadataStore
from juststorage.ports import MetadataStore, ReadOnlySwitch
from juststorage.runtime import Runtime, open_runtime
from juststorage.testing import FakeClock

CONFIG: dict[str, Any] = {
    "metadata": {"backend": "common"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": []},
}


class _Store(MemoryMetadataStore):
    """Is away when told."""

    away: Exception | None = None
    hangs = False

    async def read_only(self) -> ReadOnlySwitch:
        await self._answer()
        return await super().read_only()

    async def turn_read_only(self, *, on: bool) -> ReadOnlySwitch:
        await self._answer()
        return await super().turn_read_only(on=on)

    async def _answer(self) -> None:
        if self.hangs:
            await anyio.sleep_forever()
        if self.away is not None:
            raise self.away


class _Without(MemoryMetadataStore):
    """As a store was before there was a switch: with the defaults of the port."""

    read_only = MetadataStore.read_only  # type: ignore[assignment]
    turn_read_only = MetadataStore.turn_read_only  # type: ignore[assignment]


class Machines:
    """Instances that share one metadata store, each with a table of its own."""

    def __init__(self, kind: type[MemoryMetadataStore]) -> None:
        self.clock = FakeClock()
        self.store = kind(self.clock)

    @hookimpl
    def juststorage_metadata_stores(self) -> Iterable[MetadataStoreBackend[NoOptions]]:
        """The one store, however often it is opened."""

        @asynccontextmanager
        async def opened(options: NoOptions, context: OpenContext) -> AsyncIterator[MetadataStore]:
            yield self.store

        yield MetadataStoreBackend(
            name="common", summary="One for all", options=NoOptions, open=opened, durable=False
        )

    @asynccontextmanager
    async def start(
        self, *, table: Table | None = None, worker: int = 0, **sections: Any
    ) -> AsyncIterator[Runtime]:
        """A worker of an instance."""
        sheet = (table or Table(SERVICE_FAMILIES)).worker(worker)
        async with open_runtime(
            CONFIG | sections, plugins=[self], clock=self.clock, sheet=sheet
        ) as runtime:
            await anyio.wait_all_tasks_blocked()
            yield runtime

    async def pass_seconds(self, seconds: int) -> None:
        """Let time pass as those see it who look once a second."""
        for _ in range(seconds):
            await self.clock.advance(1.0)
            await anyio.wait_all_tasks_blocked()


@pytest.fixture
def machines() -> Machines:
    """Instances on a store that keeps the switch."""
    return Machines(_Store)


async def test_others_follow(machines: Machines) -> None:
    """Within 5 s, to both sides; who starts later begins so."""
    async with machines.start() as one, machines.start() as other:
        for on in (True, False, True):
            assert await one.switch_read_only(on=on) is True
            assert one.read_only is on
            await machines.pass_seconds(5)
            assert (one.read_only, other.read_only) == (on, on)
        async with machines.start() as later:
            assert later.read_only is True


async def test_a_separate_collector_follows(machines: Machines) -> None:
    """It has no table that somebody looks at, and no server."""
    async with (
        machines.start() as one,
        open_runtime(CONFIG, plugins=[machines], clock=machines.clock, collect=True) as collector,
    ):
        await one.switch_read_only(on=True)
        await machines.pass_seconds(5)
        assert collector.read_only is True


async def test_the_option_is_how_an_instance_starts(machines: Machines) -> None:
    """However the switch stands; a turn of it counts from then on, also to where it stands."""
    async with machines.start(server={"read_only": True}) as one, machines.start() as other:
        assert (one.read_only, other.read_only) == (True, False)
        await machines.pass_seconds(5)
        assert (one.read_only, other.read_only) == (True, False)
        await other.switch_read_only(on=False)
        await machines.pass_seconds(5)
        assert (one.read_only, other.read_only) == (False, False)


@pytest.mark.parametrize("by", ["server.read_only", "the switch"])
async def test_who_starts_so_says_so(
    machines: Machines, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    """A warning with the reason, from one of an instance's workers; nothing where it is off."""

    def told() -> list[str]:
        return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]

    configured = by == "server.read_only"
    table = Table(SERVICE_FAMILIES, workers=2)
    sections = {"server": {"read_only": configured}}
    async with machines.start():
        assert told() == []
    await machines.store.turn_read_only(on=not configured)
    async with (
        machines.start(table=table, **sections),
        machines.start(table=table, worker=1, **sections),
    ):
        [line] = told()
    assert line.startswith(f"read-only mode is on from the start, by {by}")


async def test_a_store_that_cannot_be_asked(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    """What was known last holds, on both sides; it is told once, and followed again later."""
    async with machines.start() as one, machines.start() as other:
        await one.switch_read_only(on=True)
        await machines.pass_seconds(5)
        machines.store.away = Unavailable("the database does not answer")
        await machines.pass_seconds(20)
        assert (one.read_only, other.read_only) == (True, True)
        told = [each for each in caplog.records if each.getMessage() == "read_only_unknown"]
        assert len(told) == 2  # each instance
        machines.store.away = None
        await machines.store.turn_read_only(on=False)
        await machines.pass_seconds(5)
        assert (one.read_only, other.read_only) == (False, False)


async def test_nobody_starts_without_knowing(machines: Machines) -> None:
    """It might change what somebody wanted to stand still."""
    machines.store.away = Unavailable("the database does not answer")
    with pytest.raises(Unavailable):
        async with machines.start():
            pass


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_a_kill_switch_needs_no_database(
    machines: Machines, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance that is told obeys at once, and says that it is the only one."""
    monkeypatch.setattr("juststorage.runtime._read_only._TURN_PATIENCE_S", 0.05)
    table = Table(SERVICE_FAMILIES, workers=2)
    async with (
        machines.start(table=table) as one,
        machines.start(table=table, worker=1) as two,
        machines.start() as other,
    ):
        if fault == "hangs":
            machines.store.hangs = True
        else:
            machines.store.away = Unavailable("the database does not answer")
        assert await one.switch_read_only(on=True) is False
        machines.store.away, machines.store.hangs = None, False
        await machines.pass_seconds(10)
        assert (one.read_only, two.read_only, other.read_only) == (True, True, False)


async def test_a_store_without_a_switch() -> None:
    """It works as ever, and the switch reaches the instance that is told."""
    machines = Machines(_Without)
    async with machines.start() as one, machines.start(server={"read_only": True}) as other:
        assert await one.switch_read_only(on=True) is False
        assert await other.switch_read_only(on=False) is False
        await machines.pass_seconds(5)
        assert (one.read_only, other.read_only) == (True, False)


async def test_a_database_that_was_restored_counts_anew(machines: Machines) -> None:
    """A lower number is another one."""
    async with machines.start() as one:
        for on in (True, False, True):
            await one.switch_read_only(on=on)
        machines.store._read_only = ReadOnlySwitch(on=False, turns=2)
        await machines.pass_seconds(5)
        assert one.read_only is False


async def test_workers_share_what_one_of_them_learns(machines: Machines) -> None:
    """Of those of one instance, one looks at a time."""
    asked = 0
    whole = machines.store.read_only

    async def counted() -> ReadOnlySwitch:
        nonlocal asked
        asked += 1
        return await whole()

    table = Table(SERVICE_FAMILIES, workers=2)
    async with machines.start(table=table) as one, machines.start(table=table, worker=1) as two:
        machines.store.read_only = counted  # type: ignore[method-assign]
        await machines.store.turn_read_only(on=True)
        await machines.pass_seconds(20)
        assert (one.read_only, two.read_only) == (True, True)
    assert 5 <= asked <= 11
