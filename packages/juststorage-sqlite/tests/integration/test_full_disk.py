"""A disk without one free block, under the store itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

from juststorage.domain import BlobKey, ObjectId, StoredObject, TenantId
from juststorage.errors import StorageFull
from juststorage.ports import MetadataStore
from juststorage.testing import (
    audit_metadata,
    do_without,
    make_api_key,
    make_content,
    make_intent,
    open_backend,
    store_object,
)
from juststorage_sqlite.plugin import SQLITE, SqliteOptions

MIB = 1024 * 1024
SIZE = 24 * MIB
BALLAST = 4 * MIB

Open = Callable[..., AbstractAsyncContextManager[MetadataStore]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def fill(disk: Path) -> Callable[[], None]:
    """Takes every block that is free, as a program does that goes on writing its log."""

    def filled() -> None:
        file = os.open(disk / "somebody-elses", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            with suppress(OSError):
                while True:
                    os.write(file, bytes(4096))
            assert os.statvfs(disk).f_bavail == 0
        finally:
            os.close(file)

    return filled


@pytest.fixture
def opened(disk: Path) -> Open:
    """Opens the store, as one process after the other does."""

    @asynccontextmanager
    async def open_it(ballast_bytes: int = BALLAST) -> AsyncIterator[MetadataStore]:
        options = SqliteOptions(
            path=str(disk / "m.sqlite3"), ballast_bytes=ballast_bytes, checkpoint_pages=400
        )
        async with open_backend(SQLITE, options) as store:
            yield store

    return open_it


async def store_many(store: MetadataStore, count: int) -> list[StoredObject]:
    """Objects of contents of their own."""
    return [
        (await store_object(store, content=make_content(f"{ObjectId.new()}"))).object
        for _ in range(count)
    ]


async def delete(store: MetadataStore, stored: StoredObject) -> None:
    """Delete one."""
    await store.objects.delete(stored.tenant_id, stored.id)


async def delete_all(store: MetadataStore, objects: Sequence[StoredObject]) -> None:
    """Delete one after the other."""
    for stored in objects:
        await delete(store, stored)


async def collect(store: MetadataStore) -> int:
    """Claim all garbage and remove its rows; how many."""
    claimed = await store.blobs.claim(
        grace_s=0, claim_s=60, limit=1000, agree=lambda blob, now: True
    )

    async def move(blobs: object) -> list[BlobKey]:
        return [blob.key for blob in claimed]

    removal = await store.blobs.remove([blob.key for blob in claimed], move)
    return len(removal.removed)


async def refuses_more(store: MetadataStore, stored: StoredObject) -> None:
    """What would store more is refused, whatever it is; reading goes on."""
    with pytest.raises(StorageFull):
        await store_object(store)
    with pytest.raises(StorageFull):
        await store.objects.begin(make_intent(), lease_s=60)
    with pytest.raises(StorageFull):
        await store.api_keys.create(make_api_key())
    with pytest.raises(StorageFull):
        await store.answers()
    await store.ping()
    assert await store.objects.find(stored.tenant_id, stored.id) is not None


async def test_without_a_ballast_nothing_is_deleted(opened: Open, fill: Callable[[], None]) -> None:
    """What the ballast is for: the rest of this file would be worth nothing without this."""
    async with opened(ballast_bytes=0) as store:
        objects = await store_many(store, 400)
        fill()
        with pytest.raises(StorageFull):
            await delete_all(store, objects)


async def test_deleting_and_collecting_go_on(
    opened: Open, fill: Callable[[], None], disk: Path
) -> None:
    """For ever, although all that they free is taken at once."""
    async with opened() as store:
        kept, *objects = await store_many(store, 401)
        for turn in range(8):
            fill()
            for stored in objects[50 * turn : 50 * turn + 50]:
                await delete(store, stored)
                fill()
            assert await collect(store) == 50
            await refuses_more(store, kept)
        (disk / "somebody-elses").unlink()
        await store_object(store)
        await store.answers()
        assert (disk / "m.sqlite3-ballast").stat().st_size == BALLAST
        assert await audit_metadata(store) == []


async def test_many_at_once(opened: Open, fill: Callable[[], None]) -> None:
    """A long transaction finds the disk full and is done again, once for all."""
    async with opened() as store:
        objects = await store_many(store, 300)
        fill()
        ids = [stored.id for stored in objects]
        assert await store.objects.delete_many(TenantId(objects[0].tenant_id), ids) == set(ids)
        fill()
        assert await collect(store) == 300


@pytest.mark.parametrize("is_full_before", [True, False], ids=["before the stop", "after the stop"])
async def test_opening(
    opened: Open, fill: Callable[[], None], disk: Path, is_full_before: bool
) -> None:
    """A store that was closed, which removes SQLite's log, opens, deletes and closes again."""
    async with opened() as store:
        objects = await store_many(store, 100)
        if is_full_before:
            fill()
            await delete(store, objects.pop())
    for _ in range(3):
        fill()
        async with opened() as store:
            await delete(store, objects.pop())
            fill()
            await delete(store, objects.pop())
            assert await collect(store) >= 2
            await refuses_more(store, objects[0])
    (disk / "somebody-elses").unlink()
    async with opened() as store:
        await store_object(store)
        assert await audit_metadata(store) == []


async def test_another_process_hears_of_it(opened: Open, fill: Callable[[], None]) -> None:
    """Two stores on one file: one gives the ballast up, both delete, both refuse."""
    async with opened() as one, opened() as two:
        objects = await store_many(one, 20)
        fill()
        for number, stored in enumerate(objects[1:]):
            await delete(one if number % 2 else two, stored)
        for store in (one, two):
            with pytest.raises(StorageFull):
                await store.answers()
            await refuses_more(store, objects[0])
