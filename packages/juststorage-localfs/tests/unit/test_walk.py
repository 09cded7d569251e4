"""Walks over placed blobs and staging."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage.errors import Invalid, StorageFull, Unavailable
from juststorage.ports import StagedEntry
from juststorage_localfs._fsops import FsOps

HASHES = [
    *(ContentHash(f"sha256:{first}{second}{'0' * 60}") for first in ("00", "ab", "b0", "bf", "ff")
      for second in ("00", "7f")),
    *(ContentHash(f"{name}:{'b' * 64}") for name in ("blake3", "b0", "ab", "zz", "a_b")),
    ContentHash(f"b0:b0{'1' * 62}"),
    ContentHash("sha512:" + "0" * 128),
    ContentHash("md5:" + "0" * 32),
]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_a_walk_in_order(tmp_path: Path, opened: Any, limit: int) -> None:
    """By the text of the locator over all algorithms, wherever the pages end."""
    async with opened(tmp_path) as store:
        for number, content_hash in enumerate(HASHES):
            await store.put(ObjectId.new(), content_hash, b"x" * number)
        found: list[Any] = []
        while page := await store.scan(after=found[-1].locator if found else None, limit=limit):
            assert len(page) <= limit
            found += page
        locators = [blob.locator for blob in found]
        assert locators == sorted(locators)
        assert {blob.content_hash: blob.size_bytes for blob in found} == {
            content_hash: number for number, content_hash in enumerate(HASHES)
        }


async def test_a_walk_may_begin_anywhere(tmp_path: Path, opened: Any) -> None:
    """`after` need not be a locator that exists, or one at all."""
    async with opened(tmp_path) as store:
        locators = [await store.put(ObjectId.new(), name, b"x") for name in HASHES]
        for after in ("", "0", "ab", "ab/", "ab/7f/", "ab/zz", "b0/b1", "blake3", "zzz", "~"):
            page = await store.scan(after=after, limit=100)
            assert [blob.locator for blob in page] == sorted(
                locator for locator in locators if locator > after
            )


async def test_foreign_files_are_passed_over(tmp_path: Path, opened: Any) -> None:
    """Files, links and directories that are not ours are neither listed nor followed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    name = "abcd" + "1" * 60
    root = tmp_path / "root"
    async with opened(root) as store:
        kept = await store.put(ObjectId.new(), HASHES[0], b"x")
        (root / "ab" / "cd").mkdir(parents=True)
        (root / "README").write_text("mine")
        (root / "lost+found").mkdir()
        (root / "ab" / "cd" / "README").write_text("mine")
        (root / "ab" / "ce").symlink_to(elsewhere)
        (root / "ab" / "cd" / name).symlink_to(elsewhere)
        (root / "ab" / "cd" / name.replace("1", "2")).mkdir()
        (root / "sha256" / "ab" / "cd").mkdir(parents=True)
        (root / "sha256" / "ab" / "cd" / name).write_text("the wrong place")
        assert [blob.locator for blob in await store.scan(after=None, limit=100)] == [kept]


async def test_what_goes_during_a_walk(tmp_path: Path, opened: Any) -> None:
    """A blob or a directory that disappears between two looks is passed over."""
    async with opened(tmp_path) as store:
        locators = sorted([await store.put(ObjectId.new(), name, b"x") for name in HASHES])

    class Going(FsOps):
        def stat(self, path: str, **how: Any) -> os.stat_result:
            if path == locators[1]:
                raise FileNotFoundError(errno.ENOENT, "gone")
            return super().stat(path, **how)

        def entries(self, path: str, *, dir_fd: int) -> Any:
            if path == "ff/":
                raise FileNotFoundError(errno.ENOENT, "gone")
            return super().entries(path, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Going()) as store:
        found = [blob.locator for blob in await store.scan(after=None, limit=100)]
        gone = {locator for locator in locators if locator.startswith("ff/")} | {locators[1]}
        assert found == [locator for locator in locators if locator not in gone]


async def test_a_walk_that_the_disk_stops(tmp_path: Path, opened: Any) -> None:
    """A directory that cannot be read is an error: a walk never leaves out what may be there."""
    async with opened(tmp_path) as store:
        await store.put(ObjectId.new(), HASHES[0], b"x")

    class Sick(FsOps):
        def entries(self, path: str, *, dir_fd: int) -> Any:
            if path == "00/":
                raise OSError(errno.EIO, "sick")
            return super().entries(path, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Sick()) as store:
        with pytest.raises(Unavailable):
            await store.scan(after=None, limit=100)


async def test_staged_by_age(tmp_path: Path, opened: Any) -> None:
    """Age counts from the last write, by the filesystem's clock; foreign files are nobody's."""
    async with opened(tmp_path) as store:
        old, new = ObjectId.new(), ObjectId.new()
        async with await store.stage(old), await store.stage(new):
            folder = tmp_path / ".staging"
            (path,) = folder.glob(f"{old}.*")
            stamp = path.stat().st_mtime - 100
            os.utime(path, (stamp, stamp))
            (folder / "notes.txt").write_text("mine")
            (folder / f"{ObjectId.new()}.00000000").mkdir()
            ids = [entry.upload_id for entry in await store.staged(older_than_s=50, limit=9)]
            assert ids == [old]
            both = await store.staged(older_than_s=0, limit=9)
            assert {entry.upload_id for entry in both} == {old, new}
            assert len(await store.staged(older_than_s=0, limit=1)) == 1
            assert await store.staged(older_than_s=1000, limit=9) == []
            await store.discard(both)
            assert await store.staged(older_than_s=0, limit=9) == []
            await store.discard(both)


async def test_discarding_goes_on_after_a_failure(tmp_path: Path, opened: Any) -> None:
    """What can be unlinked is, then the failure is told; foreign names are refused."""
    stuck = str(ObjectId.new())

    class Stuck(FsOps):
        def unlink(self, path: str, *, dir_fd: int) -> None:
            if stuck in path:
                raise OSError(errno.EDQUOT, "quota")
            super().unlink(path, dir_fd=dir_fd)

    async with opened(tmp_path, ops=Stuck()) as store:
        async with await store.stage(ObjectId(stuck)), await store.stage(ObjectId.new()):
            entries = await store.staged(older_than_s=0, limit=9)
            with pytest.raises(StorageFull):
                await store.discard(entries)
            left = await store.staged(older_than_s=0, limit=9)
            assert [entry.upload_id for entry in left] == [stuck]
        with pytest.raises(Invalid):
            await store.discard([StagedEntry(ObjectId.new(), "../ab")])
