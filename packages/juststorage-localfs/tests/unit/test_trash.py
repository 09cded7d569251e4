"""Removal and the way back."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage.errors import Invalid, StorageFull, Unavailable
from juststorage.ports import TrashedBlob
from juststorage.testing import FakeClock, make_content
from juststorage_localfs._fsops import FsOps

ONE, TWO, THREE = b"one", b"two!", b"three"


async def put(store: Any, data: bytes) -> str:
    """Store bytes."""
    return str(await store.put(ObjectId.new(), make_content(data).content_hash, data))


def names(folder: Path) -> list[str]:
    """What is in a directory."""
    return sorted(path.name for path in folder.iterdir())


async def in_trash(store: Any, older_than_s: float = 0.0, limit: int = 100) -> list[str]:
    """The locators of what lies in the trash."""
    found = await store.trash(older_than_s=older_than_s, limit=limit)
    return sorted(blob.locator for blob in found)


async def test_age_and_order(tmp_path: Path, opened: Any, fake_clock: FakeClock) -> None:
    """Age counts from the removal; the oldest bucket comes first."""
    async with opened(tmp_path, clock=fake_clock) as store:
        locators = [await put(store, data) for data in (ONE, TWO, THREE)]
        for locator in locators:
            await store.remove([locator])
            await fake_clock.advance(1800)
        assert await in_trash(store, 5400.001) == []
        assert await in_trash(store, 5400) == [locators[0]]
        assert await in_trash(store, 1800) == sorted(locators)
        assert await in_trash(store, limit=1) == [locators[0]]
        assert await in_trash(store, limit=2) == sorted(locators[:2])
        assert await in_trash(store, 1e300) == []
        await fake_clock.advance(299)
        assert await in_trash(store, 2100) == sorted(locators[:2])


async def test_a_hash_in_the_trash_several_times(
    tmp_path: Path, opened: Any, fake_clock: FakeClock
) -> None:
    """Trashings of one blob lie beside each other, and the newest comes back."""
    async with opened(tmp_path, clock=fake_clock) as store:
        for seconds in (0, 1, 700):
            await fake_clock.advance(seconds)
            locator = await put(store, ONE)
            # So that they can be told apart.
            os.utime(tmp_path / locator, (0, 1000 + seconds))
            await store.remove([locator])
        assert await in_trash(store) == [locator] * 3
        for seconds in (700, 1, 0):
            assert await store.restore(locator)
            path = tmp_path / locator
            assert path.stat().st_mtime == 1000 + seconds
            path.unlink()
        assert not await store.restore(locator)


async def test_other_hashes_come_back_too(tmp_path: Path, opened: Any) -> None:
    """The name in the trash has the algorithm."""
    content_hash = ContentHash("blake3:" + "5" * 64)
    async with opened(tmp_path) as store:
        locator = await store.put(ObjectId.new(), content_hash, ONE)
        await store.remove([locator])
        (blob,) = await store.trash(older_than_s=0, limit=9)
        assert (blob.locator, blob.content_hash) == (locator, content_hash)
        assert await store.restore(locator)
        assert await store.stat(locator) == len(ONE)


async def test_a_restored_name_is_durable(tmp_path: Path, opened: Any, ops: Any) -> None:
    """The directory is synced before the trash lets go of the bytes."""
    async with opened(tmp_path, ops=ops) as store:
        locator = await put(store, ONE)
        await store.remove([locator])
        ops.log.clear()
        assert await store.restore(locator)
        calls = [call for call, _ in ops.log]
        assert calls.index("link") < calls.index("fsync") < calls.index("unlink")


async def test_a_restore_replaces_nothing(tmp_path: Path, opened: Any) -> None:
    """An upload that came between finds its file as it was."""

    class Between(FsOps):
        """Another process places the same blob just before the link."""

        def link(self, source: str, target: str, *, dir_fd: int) -> None:
            if source.startswith(".trash/"):
                path = tmp_path / target
                path.write_bytes(b"placed meanwhile")
            super().link(source, target, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Between()) as store:
        locator = await put(store, ONE)
        await store.remove([locator])
        assert await store.restore(locator) is True
        assert await store.stat(locator) == len(b"placed meanwhile")
        assert await in_trash(store) == [locator]


async def test_nothing_to_restore(tmp_path: Path, opened: Any) -> None:
    """Text that is no locator has no blob; one that is there needs no trash."""
    async with opened(tmp_path) as store:
        assert await store.restore("../../etc/passwd") is False
        locator = await put(store, ONE)
        assert await store.restore(locator) is True


async def test_a_restore_that_comes_second(tmp_path: Path, opened: Any) -> None:
    """Two restore at once: whoever finds the entry gone looks whether the blob is there."""

    class Faster(FsOps):
        def link(self, source: str, target: str, *, dir_fd: int) -> None:
            if source.startswith(".trash/"):
                self.rename(source, target, dir_fd=dir_fd)
            super().link(source, target, dir_fd=dir_fd)

    class Purged(FsOps):
        def link(self, source: str, target: str, *, dir_fd: int) -> None:
            if source.startswith(".trash/"):
                self.unlink(source, dir_fd=dir_fd)
            super().link(source, target, dir_fd=dir_fd)

    for ops, there in ((Faster(), True), (Purged(), False)):
        async with opened(tmp_path, ops=ops) as store:
            locator = await put(store, ONE)
            await store.remove([locator])
            assert await store.restore(locator) is there


async def test_a_failure_stops_nothing(tmp_path: Path, opened: Any) -> None:
    """One blob that cannot be moved is reported; the others are gone."""
    async with opened(tmp_path) as store:
        locators = [await put(store, data) for data in (ONE, TWO, THREE)]

    class Stuck(FsOps):
        def rename(self, source: str, target: str, *, dir_fd: int) -> None:
            if source == locators[1]:
                raise OSError(errno.EROFS, "read-only", source)
            super().rename(source, target, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Stuck()) as store:
        failures = await store.remove(locators)
        assert list(failures) == [locators[1]]
        assert isinstance(failures[locators[1]], Unavailable)
        assert await in_trash(store) == sorted([locators[0], locators[2]])


async def test_the_bucket_goes_when_it_is_empty(
    tmp_path: Path, opened: Any, fake_clock: FakeClock
) -> None:
    """Purging leaves no empty directories of past times, and never takes the present one."""
    buckets = tmp_path / ".trash"
    async with opened(tmp_path, clock=fake_clock) as store:
        await store.remove([await put(store, ONE)])
        await store.purge(await store.trash(older_than_s=0, limit=9))
        assert names(buckets) == ["20260101T0000"]
        await store.remove([await put(store, ONE), await put(store, TWO)])
        await fake_clock.advance(601)
        await store.purge(await store.trash(older_than_s=0, limit=1))
        assert names(buckets) == ["20260101T0000"]
        blobs = await store.trash(older_than_s=0, limit=9)
        await store.purge(blobs)
        assert names(buckets) == []
        await store.purge(blobs)


async def test_a_bucket_purged_under_a_removal(
    tmp_path: Path, opened: Any, fake_clock: FakeClock
) -> None:
    """A removal whose bucket disappears makes it anew instead of calling the blob absent."""
    async with opened(tmp_path, clock=fake_clock) as store:
        await store.remove([await put(store, ONE)])
        await store.purge(await store.trash(older_than_s=0, limit=9))
        (tmp_path / ".trash" / "20260101T0000").rmdir()
        locator = await put(store, TWO)
        assert await store.remove([locator]) == {}
        assert await store.stat(locator) is None
        assert await in_trash(store) == [locator]


async def test_purging_goes_on_after_a_failure(tmp_path: Path, opened: Any) -> None:
    """What can be unlinked is, then the failure is told."""
    async with opened(tmp_path) as store:
        await store.remove([await put(store, data) for data in (ONE, TWO, THREE)])
        blobs = await store.trash(older_than_s=0, limit=9)

    class Stuck(FsOps):
        def unlink(self, path: str, *, dir_fd: int) -> None:
            if path.endswith(blobs[0].entry):
                raise OSError(errno.EDQUOT, "quota")
            super().unlink(path, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Stuck()) as store:
        with pytest.raises(StorageFull):
            await store.purge(blobs)
        assert await in_trash(store) == [blobs[0].locator]


@pytest.mark.parametrize("entry", ["../../outside", "/etc/passwd", "20260101T0000/../../x", ""])
async def test_a_foreign_entry_is_refused(tmp_path: Path, opened: Any, entry: str) -> None:
    """Purging unlinks nothing that the trash did not list."""
    async with opened(tmp_path / "root") as store:
        with pytest.raises(Invalid):
            await store.purge([TrashedBlob("ab/cd/abcd", None, entry)])


async def test_foreign_things_in_the_trash(
    tmp_path: Path, opened: Any, fake_clock: FakeClock
) -> None:
    """What somebody left there is passed over."""
    async with opened(tmp_path, clock=fake_clock) as store:
        await store.remove([await put(store, ONE)])
        bucket = tmp_path / ".trash" / "20260101T0000"
        (bucket / "notes.txt").write_text("mine")
        (bucket / names(bucket)[0].replace("sha256", "sha512")).write_text("no such hash")
        (tmp_path / ".trash" / "file").write_text("mine")
        (tmp_path / ".trash" / "folder").mkdir()
        (tmp_path / ".trash" / "20269999T9999").mkdir()
        await fake_clock.advance(timedelta(days=1).total_seconds())
        assert len(await in_trash(store)) == 1


async def test_a_bucket_that_vanishes_during_a_walk(tmp_path: Path, opened: Any) -> None:
    """Another process purges meanwhile: what is gone is not listed, and nothing fails."""
    async with opened(tmp_path) as store:
        await store.remove([await put(store, ONE)])

    class Vanishing(FsOps):
        def entries(self, path: str, *, dir_fd: int) -> Any:
            if path.startswith(".trash/"):
                raise FileNotFoundError(errno.ENOENT, "gone")
            return super().entries(path, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Vanishing()) as store:
        assert await store.trash(older_than_s=0, limit=9) == []
