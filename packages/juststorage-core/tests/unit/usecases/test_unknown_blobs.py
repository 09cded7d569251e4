"""Bytes that no row names: few are adopted, and a mass of them is nobody's to take."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from juststorage.domain import BlobKey, StorageClass
from juststorage.ports import BlobStore, PlacedBlob
from juststorage.testing.faults import WrappedBlobStore
from juststorage.usecases._unknown import SAMPLE, Walk, too_many

HOT = StorageClass.HOT


async def orphans(service: Any, count: int, start: int = 0) -> None:
    """So many placed blobs that the database does not know."""
    store = service.blobs[HOT]
    for number in range(start, start + count):
        data = b"orphan %d" % number
        await store.put(service.intent().new.id, service.hasher.hash(data), data)


async def known(service: Any, count: int) -> None:
    """So many more that it does."""
    for number in range(count):
        await service.upload().whole(service.intent(), b"known %d" % number)


class Short(WrappedBlobStore):
    """A store that gives less than it is asked for, and remembers what it was asked."""

    def __init__(self, inner: BlobStore, *, at_once: int) -> None:
        super().__init__(inner)
        self.at_once = at_once

    async def scan(self, *, after: str | None, limit: int) -> list[PlacedBlob]:
        return await super().scan(after=after, limit=min(limit, self.at_once))


@pytest.mark.parametrize(
    ("unknown", "looked_at", "few", "expected"),
    [
        (0, 0, 0, False),
        (1, 9, 0, True),
        (1, 10, 0, False),
        (100, 100, 100, False),
        (101, 101, 100, True),
        (101, 1000, 100, True),
        (101, 1010, 100, False),
    ],
)
def test_what_too_many_is(unknown: int, looked_at: int, few: int, expected: bool) -> None:
    """More than the few, and more than a tenth; both at once."""
    assert too_many(unknown, looked_at, few) is expected


def test_pages_are_judged_with_those_before_them() -> None:
    """A page at the end is short; what was seen before it counts."""
    page = [PlacedBlob("a", 1)] * SAMPLE
    walk = Walk()
    assert walk.too_many(page, SAMPLE, 100)
    walk.go_behind(page, SAMPLE)
    rest = [PlacedBlob("b", 1)] * 50
    assert not Walk().too_many(rest, 50, 100)
    assert walk.too_many(rest, 50, 100)
    walk.go_behind(rest, 50)
    assert (walk.after, walk.looked_at, walk.unknown) == ("b", 1050, 1050)


def test_a_page_is_judged_alone_too() -> None:
    """However many known ones came before: unknown ones may lie beside each other."""
    page = [PlacedBlob("a", 1)] * SAMPLE
    walk = Walk(looked_at=1_000_000)
    assert walk.too_many(page, SAMPLE, 100)
    assert not walk.too_many(page, 100, 100)


@pytest.mark.parametrize("count", [101, SAMPLE + 1, 2 * SAMPLE + 50])
async def test_an_empty_database_beside_full_stores_takes_nothing(service: Any, count: int) -> None:
    """Not from the last page either, nor after a restart, nor in any number of runs."""
    await orphans(service, count)
    for _ in range(2):
        collect = service.collect()
        for _ in range(3):
            report = await collect.run()
            assert (report.unknown, report.adopted, report.removed) == (count, 0, 0)
            assert (report.swept, report.errors) == (0, 0)
    assert len(await service.blobs[HOT].scan(after=None, limit=10_000)) == count


@pytest.mark.parametrize("scan_blobs_max", [1, 10, 100])
async def test_a_small_limit_makes_no_small_sample(service: Any, scan_blobs_max: int) -> None:
    """A volume does not go in bites that are too small to be many."""
    await orphans(service, 300)
    limits = msgspec.structs.replace(service.at_once, scan_blobs_max=scan_blobs_max)
    for _ in range(3):
        report = await service.collect(limits).run()
        assert (report.unknown, report.adopted) == (300, 0)


async def test_a_store_that_answers_in_small_pages_makes_no_small_sample(service: Any) -> None:
    """The sample is filled up."""
    await orphans(service, 150)
    service.blobs[HOT] = Short(service.blobs[HOT], at_once=20)
    report = await service.collect().run()
    assert (report.unknown, report.adopted) == (150, 0)


async def test_a_run_that_begins_behind_the_last_blob_starts_over(service: Any) -> None:
    """Each run says what is unknown: none seems to find all well."""
    await orphans(service, SAMPLE)
    collect = service.collect(msgspec.structs.replace(service.at_once, scan_blobs_max=SAMPLE))
    assert [(await collect.run()).unknown for _ in range(3)] == [SAMPLE] * 3


async def test_a_run_of_no_scan_looks_at_nothing(service: Any) -> None:
    """0 is 0."""
    await orphans(service, 3)
    limits = msgspec.structs.replace(service.at_once, scan_blobs_max=0)
    report = await service.collect(limits).run()
    assert (report.unknown, report.adopted) == (0, 0)


async def test_few_are_adopted(service: Any) -> None:
    """What a crash of a collector leaves goes as ever, also from a store that is small."""
    await orphans(service, 100)
    report = await service.collect().run()
    assert (report.unknown, report.adopted) == (0, 100)
    assert (await service.collect().run()).removed == 100


async def test_how_many_are_few_is_an_option(service: Any) -> None:
    """With 0 a tenth of what is stored decides alone."""
    await known(service, 17)
    await orphans(service, 2)
    strict = msgspec.structs.replace(service.at_once, adopt_blobs_max=0)
    report = await service.collect(strict).run()
    assert (report.unknown, report.adopted) == (2, 0)
    await service.upload().whole(service.intent(), b"one more")
    report = await service.collect(strict).run()
    assert (report.unknown, report.adopted) == (0, 2)


async def test_a_small_share_is_adopted_however_many(service: Any) -> None:
    """Of a large store a tenth may be unknown."""
    await known(service, 1300)
    await orphans(service, 120)
    adopted = [(await service.collect().run()).adopted for _ in range(3)]
    assert sum(adopted) == 120


async def test_it_is_told_with_what_to_do(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One warning for a store and run, with a stable code and the way out."""
    await orphans(service, 101)
    with caplog.at_level(logging.WARNING, "juststorage.gc"):
        await service.collect().run()
    [record] = caplog.records
    assert (record.message, record.levelname) == ("too_many_unknown_blobs", "WARNING")
    fields = vars(record)
    assert (fields["storage_class"], fields["unknown"], fields["looked_at"]) == ("hot", 101, 101)
    assert "juststorage gc run --adopt-unknown" in fields["detail"]


async def test_who_confirms_it_has_them_adopted(service: Any) -> None:
    """All of them, whatever a run's limit is, and the next run collects them."""
    await known(service, 3)
    await orphans(service, SAMPLE + 500)
    limits = msgspec.structs.replace(service.at_once, scan_blobs_max=1)
    collect = service.collect(limits)
    report = await collect.run(adopt_unknown=True)
    assert (report.unknown, report.adopted) == (0, SAMPLE + 500)
    report = await collect.run()
    assert (report.unknown, report.removed) == (0, SAMPLE + 500)
    assert len(await service.placed()) == 3


async def test_what_another_collector_removes_is_not_unknown(service: Any) -> None:
    """Files go before their rows: who looks for rows after that has seen files that are gone."""
    for number in range(150):
        await service.deleted(b"garbage %d" % number)
    rows, find = service.metadata.blobs, service.metadata.blobs.find
    collect, other = service.collect(), service.collect()

    async def removed_before(keys: Any) -> Any:
        rows.find = find
        assert (await other.run()).removed == 150
        return await find(keys)

    rows.find = removed_before
    report = await _orphans_of(collect)
    assert (report.unknown, report.adopted) == (0, 0)


async def _orphans_of(collect: Any) -> Any:
    from juststorage.usecases import CollectionReport
    from juststorage.usecases._collection import Deadline

    report = CollectionReport(dry_run=False, started_at=collect._clock.now())
    await collect._sweep.orphans(report, Deadline(collect._clock))
    return report


async def test_an_adopted_blob_has_the_row_of_its_file(service: Any) -> None:
    """Nothing but its references is missing."""
    await orphans(service, 1)
    await service.collect().run()
    key = BlobKey(service.hasher.hash(b"orphan 0"), HOT)
    row = (await service.metadata.blobs.find([key]))[key]
    assert (row.ref_count, row.size_bytes) == (0, 8)
