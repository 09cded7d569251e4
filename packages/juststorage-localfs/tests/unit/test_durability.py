"""R14: what is synced, in which order, and how often."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage.errors import Unavailable
from juststorage.testing import make_content

STEPS = {"fsync", "rename", "sync_volume"}


def steps(ops: Any) -> list[tuple[str, str]]:
    """The calls that durability consists of; staging files are one word."""
    return [
        (call, "staged" if path.startswith(".staging/") else path)
        for call, path in ops.log
        if call in STEPS
    ]


def content(first: str, second: str, number: int) -> ContentHash:
    """A hash that lies in a directory of the test's choosing."""
    return ContentHash(f"sha256:{first}{second}{number:060x}")


@pytest.mark.parametrize("by", ["upload", "put"])
async def test_the_order(tmp_path: Path, opened: Any, ops: Any, by: str) -> None:
    """File, rename, directory; then its name in its parent, as far up as names are new."""

    async def store_it(content_hash: ContentHash) -> list[tuple[str, str]]:
        ops.log.clear()
        if by == "put":
            await store.put(ObjectId.new(), content_hash, b"x")
        else:
            async with await store.stage(ObjectId.new()) as staged:
                await staged.write(b"x")
                await staged.finish()
                await store.place(staged, content_hash)
        return steps(ops)

    async with opened(tmp_path, ops=ops) as store:
        first = [("fsync", "staged"), ("rename", "staged")]
        assert await store_it(content("ab", "cd", 1)) == [
            *first,
            ("fsync", "ab/cd"),
            ("fsync", "ab"),
            ("fsync", "."),
        ]
        assert await store_it(content("ab", "cd", 2)) == [*first, ("fsync", "ab/cd")]
        assert await store_it(content("ab", "ce", 1)) == [
            *first,
            ("fsync", "ab/ce"),
            ("fsync", "ab"),
        ]
        other = ContentHash("blake3:" + "ab" * 32)
        assert await store_it(other) == [
            *first,
            ("fsync", "blake3/ab/ab"),
            ("fsync", "blake3/ab"),
            ("fsync", "blake3"),
            ("fsync", "."),
        ]
        # What is there already is replaced by bytes of our own, synced alike (R15).
        assert await store_it(content("ab", "cd", 2)) == [*first, ("fsync", "ab/cd")]


async def test_another_process_made_the_directory(tmp_path: Path, opened: Any, ops: Any) -> None:
    """That a directory is there does not say that its name is durable, so its parent is synced."""
    (tmp_path / "ab").mkdir()
    async with opened(tmp_path, ops=ops) as store:
        (tmp_path / "ab" / "cd").mkdir()
        (tmp_path / "ab" / "ce").mkdir()
        ops.log.clear()
        await store.put(ObjectId.new(), content("ab", "cd", 1), b"x")
        assert steps(ops)[2:] == [("fsync", "ab/cd"), ("fsync", "ab")]
        # That sync has covered its neighbours, too.
        ops.log.clear()
        await store.put(ObjectId.new(), content("ab", "ce", 1), b"x")
        assert steps(ops)[2:] == [("fsync", "ab/ce")]


async def test_a_directory_that_was_tidied_away(tmp_path: Path, opened: Any, ops: Any) -> None:
    """An operator removed empty directories: they are made, and synced, again."""
    async with opened(tmp_path, ops=ops) as store:
        locator = await store.put(ObjectId.new(), content("ab", "cd", 1), b"x")
        for path in (tmp_path / locator, tmp_path / "ab" / "cd"):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "ab").rmdir()
        ops.log.clear()
        await store.put(ObjectId.new(), content("ab", "cd", 1), b"x")
        synced = [path for call, path in steps(ops) if call == "fsync"]
        assert synced == ["staged", "ab/cd", "ab", "."]


async def test_what_others_have_placed_is_made_durable(
    tmp_path: Path, opened: Any, file_ops: Any
) -> None:
    """Their bytes were synced before they had a name: what is missing is that of the name."""
    async with opened(tmp_path, ops=file_ops) as store:
        locators = [
            await store.put(ObjectId.new(), content("ab", "cd", number), b"x") for number in (1, 2)
        ]
    async with opened(tmp_path, ops=file_ops) as store:
        file_ops.log.clear()
        absent = ["ab/cd/" + "0" * 64, "ee/ff/eeff" + "0" * 60, "../../outside"]
        await store.make_durable([*locators, *absent])
        assert steps(file_ops) == [("fsync", "ab/cd"), ("fsync", "ab")]
        many = [
            await store.put(ObjectId.new(), content("ab", f"{number:02x}", 1), b"x")
            for number in range(20)
        ]
        file_ops.log.clear()
        await store.make_durable(many)
        assert steps(file_ops) == [("fsync", f"ab/{number:02x}") for number in range(20)]
        file_ops.fail_at(2, errno.EIO)
        with pytest.raises(Unavailable):
            await store.make_durable(many)
        assert file_ops.fired == ("fsync", "ab/00")


async def test_much_that_others_have_placed_is_made_durable_at_once(
    tmp_path: Path, opened: Any, ops: Any, open_files: Any
) -> None:
    """By a sync of the volume, where there is one that may be trusted."""

    class OneKind(type(ops)):  # type: ignore[misc]
        def mounts(self) -> str:
            return "22 1 0:1 / / rw - ext4 /dev/vda rw\n"

    ops = OneKind()
    async with opened(tmp_path, ops=ops) as store:
        many = [
            await store.put(ObjectId.new(), content("ab", f"{number:02x}", 1), b"x")
            for number in range(5)
        ]
        before = open_files()
        ops.log.clear()
        await store.make_durable(many[:4])
        assert [call for call, _ in steps(ops)] == ["fsync"] * 4
        ops.log.clear()
        await store.make_durable(many)
        assert steps(ops) == [("sync_volume", ".")]
        ops.fail_at(2, errno.EIO)
        with pytest.raises(Unavailable):
            await store.make_durable(many)
        assert ops.fired == ("sync_volume", ".")
        assert open_files() == before


async def put_many(store: Any, count: int) -> None:
    """Small uploads that arrive together."""
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            data = str(number).encode()
            tasks.start_soon(store.put, ObjectId.new(), make_content(data).content_hash, data)


async def test_a_group_is_synced_as_one(tmp_path: Path, opened: Any, ops: Any) -> None:
    """All bytes before the first name, all names before the first answer."""

    class OneKind(type(ops)):  # type: ignore[misc]
        def mounts(self) -> str:
            return "22 1 0:1 / / rw - ext4 /dev/vda rw\n"

    ops = OneKind()
    async with opened(tmp_path, ops=ops) as store:
        ops.log.clear()
        await put_many(store, 5)
        calls = [call for call, _ in steps(ops)]
        assert calls == ["sync_volume", *["rename"] * 5, "sync_volume"]
        writes = [index for index, (call, _) in enumerate(ops.log) if call == "write"]
        assert max(writes) < ops.log.index(("sync_volume", "."))
        # By a descriptor of its own that is older than the first write: errors are told to each
        # descriptor once, so a shared one could hear of this group's loss on behalf of another.
        assert ops.log.index(("open", ".")) < min(writes)
        assert ops.log.count(("open", ".")) == ops.log.count(("close", ".")) == 1
        # The sync has made the directories' names durable, too.
        ops.log.clear()
        data = b"0"
        await store.put(ObjectId.new(), make_content(data).content_hash, data)
        assert [call for call, _ in steps(ops)] == ["fsync", "rename", "fsync"]


async def test_a_group_where_volumes_cannot_be_synced(
    tmp_path: Path, opened: Any, file_ops: Any
) -> None:
    """Then each file is synced, in several threads, and each directory."""
    async with opened(tmp_path, ops=file_ops) as store:
        file_ops.log.clear()
        await put_many(store, 21)
        done = steps(file_ops)
        assert done.count(("fsync", "staged")) == done.count(("rename", "staged")) == 21
        blobs = await store.scan(after=None, limit=100)
        assert len(blobs) == 21
        for blob in blobs:
            assert ("fsync", blob.locator.rpartition("/")[0]) in done
        assert "sync_volume" not in {call for call, _ in done}


async def test_equal_bytes_in_one_group(tmp_path: Path, opened: Any, ops: Any) -> None:
    """Two of one content in a group both succeed."""
    async with opened(tmp_path, ops=ops) as store:
        content_hash = make_content(b"same").content_hash
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(store.put, ObjectId.new(), content_hash, b"same")
        assert len(await store.scan(after=None, limit=100)) == 1
        assert await store.staged(older_than_s=0, limit=10) == []


async def test_a_lost_write_makes_the_volume_suspect(tmp_path: Path, opened: Any, ops: Any) -> None:
    """A sync that failed may have dropped anybody's bytes: readiness fails until a restart."""

    class Lossy(type(ops)):  # type: ignore[misc]
        lossy = False

        def fsync(self, fd: int) -> None:
            if self.lossy:
                raise OSError(errno.EIO, "lost")
            super().fsync(fd)

    ops = Lossy()
    async with opened(tmp_path, ops=ops) as store:
        await store.ping()
        ops.lossy = True
        with pytest.raises(Unavailable):
            await store.put(ObjectId.new(), content("ab", "cd", 1), b"x")
        ops.lossy = False
        with pytest.raises(Unavailable, match="lost a write"):
            await store.ping()
    async with opened(tmp_path, ops=ops) as store:
        await store.ping()


async def test_two_groups_at_once_do_not_share_a_descriptor(
    tmp_path: Path, opened: Any, ops: Any
) -> None:
    """Each group hears of every loss itself, so each syncs by a descriptor of its own."""
    synced: list[int] = []

    class Noting(type(ops)):  # type: ignore[misc]
        def mounts(self) -> str:
            return "22 1 0:1 / / rw - ext4 /dev/vda rw\n"

        def sync_volume(self, fd: int) -> None:
            synced.append(fd)
            self.before("sync_volume", (fd,))

    ops = Noting()
    async with opened(tmp_path, ops=ops) as store:
        async with anyio.create_task_group() as tasks:
            ops.block_at(1)
            tasks.start_soon(put_many, store, 2)
            await ops.reached.wait()
            # The first group waits before its first call; the second goes all the way.
            others = [str(number).encode() for number in range(100, 103)]
            async with anyio.create_task_group() as second:
                for data in others:
                    content_hash = make_content(data).content_hash
                    second.start_soon(store.put, ObjectId.new(), content_hash, data)
            ops.release()
        assert len(synced) == 4
        assert len(await store.scan(after=None, limit=100)) == 5
        opens = [index for index, call in enumerate(ops.log) if call == ("open", ".")]
        assert len(opens) == 3  # one for each group, and one of the scan
