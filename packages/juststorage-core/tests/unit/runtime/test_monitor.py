"""The monitor, over the memory stores."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from juststorage.domain import StorageClass, TenantId
from juststorage.errors import Unavailable
from juststorage.metrics import SERVICE_FAMILIES, Table
from juststorage.ports import Space
from juststorage.runtime import FsckResult, Runtime, open_runtime, unwrap
from juststorage.runtime._monitor import collected
from juststorage.testing import FakeClock, make_content, make_intent, store_object
from juststorage.usecases import CollectionReport

CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}, "cold": {"backend": "memory"}},
    "auth": {"chain": []},
    "allow_ephemeral": True,
}


def values(table: Table) -> dict[str, float]:
    """Every series that is shown."""
    lines = table.text().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


async def until_looked(clock: FakeClock) -> None:
    """Let a second pass, as the monitor sees it, and wait until it sleeps again."""
    await anyio.wait_all_tasks_blocked()
    await clock.advance(1.0)
    await anyio.wait_all_tasks_blocked()


async def test_what_is_stored(tmp_path: Path) -> None:
    """Objects, contents, tenants and the age of garbage, as they are when they are counted."""
    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    config = CONFIG | {"data_dir": str(tmp_path), "metrics": {"count_interval_s": 5}}
    async with open_runtime(config, clock=clock, sheet=table.worker(0)) as runtime:
        content = make_content("12345")
        await store_object(runtime.metadata, make_intent("a"), content)
        await store_object(runtime.metadata, make_intent("b"), content)
        other = make_intent("c", tenant_id=TenantId("other"), storage_class=StorageClass.COLD)
        gone = await store_object(runtime.metadata, other, content)
        await runtime.metadata.objects.delete(TenantId("other"), gone.object.id)
        for _ in range(10):
            await until_looked(clock)
        found = values(table)
    assert found['juststorage_objects{storage_class="hot"}'] == 2
    assert found['juststorage_logical_bytes{storage_class="hot"}'] == 10
    assert found['juststorage_physical_bytes{storage_class="hot"}'] == 5
    assert found['juststorage_objects{storage_class="cold"}'] == 0
    assert found['juststorage_blobs{storage_class="cold"}'] == 1
    assert found["juststorage_tenants"] == 1
    assert found["juststorage_dedup_ratio"] == 1
    assert 1 <= found["juststorage_gc_oldest_garbage_age_seconds"] <= 10
    age = clock.now() - timedelta(seconds=6)
    assert found["juststorage_counted_time_seconds"] >= age.timestamp()
    assert found["juststorage_event_loop_lag_seconds_count"] >= 9


def test_every_figure_of_the_store_names_its_age() -> None:
    """In its help: kept as a total, or counted one by one, and the metric that has the time."""
    helps = {family.name.removeprefix("juststorage_"): family.text for family in SERVICE_FAMILIES}
    for names, how, time in (
        (("tenants", "objects", "logical_bytes"), "kept as a total", "counted"),
        (("blobs", "physical_bytes", "dedup_ratio"), "counted one by one", "stored_counted"),
    ):
        for name in names:
            ending = f"; {how}, exact as of juststorage_{time}_time_seconds."
            assert helps[name].endswith(ending)


async def test_contents_that_are_too_many_to_be_looked_at() -> None:
    """What is cheap to count goes on; the rest stays as it was, with the time of that."""
    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    config = CONFIG | {"metrics": {"count_interval_s": 5}}
    async with open_runtime(config, clock=clock, sheet=table.worker(0)) as runtime:
        await store_object(runtime.metadata, make_intent("a"), make_content("12345"))
        for _ in range(6):
            await until_looked(clock)
        before = values(table)
        assert before['juststorage_blobs{storage_class="hot"}'] == 1
        usage = cast("Any", unwrap(runtime.metadata)).usage
        whole = usage.totals

        async def totals(*, physical: bool) -> Any:
            if physical:
                raise Unavailable("the database did not answer in time")
            return await whole(physical=False)

        usage.totals = totals
        await store_object(runtime.metadata, make_intent("b"), make_content("123"))
        for _ in range(6):
            await until_looked(clock)
        found = values(table)
    assert found['juststorage_objects{storage_class="hot"}'] == 2
    for name in (
        'juststorage_blobs{storage_class="hot"}',
        'juststorage_physical_bytes{storage_class="hot"}',
        "juststorage_dedup_ratio",
        "juststorage_stored_counted_time_seconds",
    ):
        assert found[name] == before[name]
    assert found["juststorage_counted_time_seconds"] > before["juststorage_counted_time_seconds"]


async def test_a_count_that_lasts_holds_nothing_up() -> None:
    """Neither the looks of the monitor nor the cheap counts; and no other worker begins one.

    What it tells in the end is as old as its beginning.
    """
    table, clock = Table(SERVICE_FAMILIES, workers=2), FakeClock()
    config = CONFIG | {"metrics": {"count_interval_s": 5}}
    asked, began, done = 0, clock.now(), anyio.Event()
    async with open_runtime(config, clock=clock, sheet=table.worker(0)) as runtime:
        usage = cast("Any", unwrap(runtime.metadata)).usage
        whole = usage.totals

        async def totals(*, physical: bool) -> Any:
            nonlocal asked, began
            if physical:
                asked, began = asked + 1, clock.now()
                await done.wait()
            return await whole(physical=physical)

        usage.totals = totals
        await store_object(runtime.metadata, make_intent("a"), make_content("12345"))
        for _ in range(30):
            await until_looked(clock)
        found = values(table)
        assert found['juststorage_objects{storage_class="hot"}'] == 1
        assert found["juststorage_counted_time_seconds"] >= clock.now().timestamp() - 6
        assert found["juststorage_event_loop_lag_seconds_count"] >= 29
        async with open_runtime(config, clock=clock, sheet=table.worker(1)) as other:
            cast("Any", unwrap(other.metadata)).usage.totals = totals
            for _ in range(10):
                await until_looked(clock)
            assert asked == 1
            assert "juststorage_stored_counted_time_seconds" not in values(table)
            done.set()
            await until_looked(clock)
            told = values(table)["juststorage_stored_counted_time_seconds"]
            assert told == began.timestamp() < clock.now().timestamp() - 30


async def test_collections_are_counted() -> None:
    """Each run with what it did, asked for or not; a dry one is none."""
    from juststorage.runtime import make_collector

    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    async with open_runtime(CONFIG, clock=clock, sheet=table.worker(0)) as runtime:
        gone = await store_object(runtime.metadata, make_intent("a"), make_content("123"))
        await runtime.metadata.objects.delete(gone.object.tenant_id, gone.object.id)
        collector = make_collector(runtime)
        await collector.run(dry_run=True, grace_s=0)
        await collector.run(grace_s=0)
        found = values(table)
    assert found['juststorage_gc_runs_total{outcome="done"}'] == 1
    assert found["juststorage_gc_claimed_blobs_total"] == 1
    assert found["juststorage_gc_removed_blobs_total"] == 1
    assert found["juststorage_gc_removed_bytes_total"] == 3
    assert found["juststorage_gc_last_run_time_seconds"] == clock.now().timestamp()


def test_each_count_of_a_collection_has_its_metric() -> None:
    """And no other one: those that no quiet run has anything to say of, too."""
    table, began = Table(SERVICE_FAMILIES), datetime(2026, 1, 1, tzinfo=UTC)
    report = CollectionReport(
        dry_run=False,
        started_at=began,
        finished_at=began + timedelta(seconds=9),
        reaped=1,
        claimed=2,
        removed=3,
        bytes_removed=4,
        restored=5,
        purged=6,
        swept=7,
        errors=8,
        adopted=10,
        unknown=11,
    )
    for _ in range(2):
        collected(table.worker(0), report)
    found = values(table)
    assert {name: found[f"juststorage_{name}_total"] for name in _OF_A_REPORT} == _OF_A_REPORT
    runs = [found[f'juststorage_gc_runs_total{{outcome="{each}"}}'] for each in ("done", "failed")]
    assert runs == [0, 2]


_OF_A_REPORT = {
    "upload_leases_reaped": 2,
    "gc_claimed_blobs": 4,
    "gc_removed_blobs": 6,
    "gc_removed_bytes": 8,
    "gc_restored_blobs": 10,
    "gc_purged_blobs": 12,
    "gc_swept_entries": 14,
    "gc_adopted_blobs": 20,
    "gc_unknown_blobs": 22,
    "gc_errors": 16,
    "gc_seconds": 18,
}
"""After two of those reports."""


ROOM = 'juststorage_volume_free_bytes{storage_class="%s"}'
SIZE = 'juststorage_volume_total_bytes{storage_class="%s"}'
ERROR = 'juststorage_volume_error{storage_class="%s"}'


class Volumes:
    """Volumes of stores in memory, the hot one of which does what a test wants."""

    def __init__(self, runtime: Runtime) -> None:
        self.answers: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self.asked = 0
        for storage_class, store in runtime.blobs.items():
            # Of the guard: it knows that a store in memory has no room to tell of.
            cast("Any", store).space = partial(self._space, storage_class)

    async def _space(self, storage_class: StorageClass) -> Space:
        if storage_class == StorageClass.HOT:
            self.asked += 1
            await self.answers()
        return Space(total_bytes=10, free_bytes=5)


async def test_a_volume_that_hangs() -> None:
    """Its room is not shown as it once was; all else goes on, and so does it, once it answers.

    A call that is in a thread is not cut off by cancelling it, so this one is not either.
    """
    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    answers = anyio.Event()

    async def hang() -> None:
        with anyio.CancelScope(shield=True):
            await answers.wait()

    async with open_runtime(CONFIG, clock=clock, sheet=table.worker(0)) as runtime:
        volumes = Volumes(runtime)
        for _ in range(2):
            await until_looked(clock)
        found = values(table)
        assert (found[ROOM % "hot"], found[SIZE % "hot"], found[ERROR % "hot"]) == (5, 10, 0)
        volumes.answers, volumes.asked = hang, 0
        for _ in range(40):
            await until_looked(clock)
        found = values(table)
        assert volumes.asked == 1, "no thread more with every look"
        assert ROOM % "hot" not in found and SIZE % "hot" not in found
        assert (found[ERROR % "hot"], found[ERROR % "cold"]) == (1, 0)
        assert found[ROOM % "cold"] == 5
        assert found["juststorage_event_loop_lag_seconds_count"] >= 40
        answers.set()
        await until_looked(clock)
        found = values(table)
        assert (found[ROOM % "hot"], found[ERROR % "hot"]) == (5, 0)


async def test_a_volume_that_hangs_in_one_worker() -> None:
    """Another worker looks at it in its place."""
    table, clock = Table(SERVICE_FAMILIES, workers=2), FakeClock()
    async with open_runtime(CONFIG, clock=clock, sheet=table.worker(0)) as one:
        Volumes(one).answers = anyio.sleep_forever
        for _ in range(20):
            await until_looked(clock)
        assert ROOM % "hot" not in values(table)
        async with open_runtime(CONFIG, clock=clock, sheet=table.worker(1)) as other:
            Volumes(other)
            for _ in range(11):
                await until_looked(clock)
            assert values(table)[ROOM % "hot"] == 5


async def test_a_volume_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Its room is not shown, and the log says so once, until it answers again."""
    table, clock = Table(SERVICE_FAMILIES), FakeClock()

    async def fail() -> None:
        raise Unavailable("no device")

    async with open_runtime(CONFIG, clock=clock, sheet=table.worker(0)) as runtime:
        volumes = Volumes(runtime)
        for _ in range(2):
            await until_looked(clock)
        volumes.answers = fail
        for _ in range(30):
            await until_looked(clock)
        found = values(table)
        assert volumes.asked > 2
        assert ROOM % "hot" not in found and SIZE % "hot" not in found
        assert (found[ERROR % "hot"], found[ROOM % "cold"]) == (1, 5)
        [told] = [each for each in caplog.records if each.message == "volume_room_unknown"]
        assert told.levelname == "WARNING"
        volumes.answers = anyio.lowlevel.checkpoint
        for _ in range(11):
            await until_looked(clock)
        assert values(table)[ROOM % "hot"] == 5


async def test_the_last_audit(tmp_path: Path) -> None:
    """What `fsck` left in the data directory is shown; what somebody else left there is not."""
    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    config = CONFIG | {"data_dir": str(tmp_path)}
    async with open_runtime(config, clock=clock, sheet=table.worker(0)):
        (tmp_path / "last-fsck.json").write_text("{")
        await until_looked(clock)
        assert "juststorage_fsck_findings" not in values(table)
        FsckResult(finished_at=5.0, findings=3, repaired=1).keep(tmp_path)
        found: dict[str, float] = {}
        with anyio.fail_after(60):  # it is read in a thread
            while "juststorage_fsck_findings" not in found:
                await until_looked(clock)
                found = values(table)
    assert found["juststorage_fsck_last_run_time_seconds"] == 5
    assert (found["juststorage_fsck_findings"], found["juststorage_fsck_repaired"]) == (3, 1)


async def test_a_data_directory_that_hangs(tmp_path: Path) -> None:
    """The event loop waits for no file, and the monitor for no audit."""
    table, clock = Table(SERVICE_FAMILIES), FakeClock()
    os.mkfifo(tmp_path / "last-fsck.json")
    config = CONFIG | {"data_dir": str(tmp_path)}
    async with open_runtime(config, clock=clock, sheet=table.worker(0)):
        for _ in range(20):
            await until_looked(clock)
        found = values(table)
        with (tmp_path / "last-fsck.json").open("wb"):
            pass  # whoever opens it to read goes on
    assert found["juststorage_event_loop_lag_seconds_count"] >= 20


def test_an_audit_is_kept_in_one_piece(tmp_path: Path) -> None:
    """It takes the place of the one before, and leaves nothing beside it."""
    for findings in (3, 0):
        assert FsckResult(finished_at=5.0, findings=findings, repaired=0).keep(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["last-fsck.json"]
    assert FsckResult.last(tmp_path) == FsckResult(finished_at=5.0, findings=0, repaired=0)


def test_an_audit_that_cannot_be_kept(tmp_path: Path) -> None:
    """A data directory that is not there is no reason for `fsck` to fail."""
    assert not FsckResult(finished_at=5.0, findings=3, repaired=1).keep(tmp_path / "none")
    assert FsckResult.last(tmp_path / "none") is None


@pytest.mark.parametrize("starts_read_only", [False, True])
async def test_read_only_mode(starts_read_only: bool) -> None:
    """The option is how an instance starts; a worker that is started again keeps the switch."""
    table = Table(SERVICE_FAMILIES, workers=2)
    config = CONFIG | {"server": {"read_only": starts_read_only}}
    async with open_runtime(config, sheet=table.worker(0)) as one:
        assert one.read_only is starts_read_only
        assert await one.switch_read_only(on=not starts_read_only)
        async with open_runtime(config, sheet=table.worker(1)) as other:
            assert other.read_only is one.read_only is not starts_read_only
