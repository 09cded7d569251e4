"""Blocks that are kept for removing: when they are thrown off, and when they are there again."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from juststorage.domain import ObjectId, StorageClass
from juststorage.errors import StorageFull
from juststorage.testing import do_without, make_content, open_context
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs.plugin import LocalFSOptions

BLOCK = 4096
MIB = 1024 * 1024


class File(NamedTuple):
    """The file that it is."""

    path: Path

    @property
    def length(self) -> int:
        """How long it is."""
        return self.path.stat().st_size

    @property
    def allocated(self) -> int:
        """The bytes that are really there."""
        return self.path.stat().st_blocks * 512

    @property
    def is_there(self) -> bool:
        """Whether it is."""
        return self.path.exists()


class SmallVolume(FsOps):
    """A volume on which each new name takes a block, once the test has filled it.

    What is thrown off is free, and nothing else ever is.
    """

    def __init__(self, *, error: int = errno.ENOSPC, others_take: int = 0) -> None:
        self.is_full = False
        self._error = error
        self._others_take = others_take
        self._blocks = 0

    def fill(self) -> None:
        """Take every block that is left."""
        self.is_full = True
        self._blocks = 0

    def _take(self) -> None:
        if not self.is_full:
            return
        if self._blocks < 1:
            raise OSError(self._error, os.strerror(self._error))
        self._blocks -= 1

    def mkdir(self, path: str, *, dir_fd: int | None = None) -> None:
        """A directory."""
        self._take()
        super().mkdir(path, dir_fd=dir_fd)

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        """A name in another directory."""
        self._take()
        super().rename(source, target, dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        """A second name."""
        self._take()
        super().link(source, target, dir_fd=dir_fd)

    def truncate(self, fd: int, length: int) -> None:
        """Blocks that are free, as far as nobody else is faster."""
        freed = (os.fstat(fd).st_size - length) // BLOCK
        super().truncate(fd, length)
        self._blocks += max(0, freed - self._others_take)

    def statvfs(self, fd: int) -> os.statvfs_result:
        """Nothing is free on a full one."""
        facts = list(super().statvfs(fd))
        if self.is_full:
            facts[4] = 0
        return os.statvfs_result(facts)


@pytest.fixture
def file(tmp_path: Path) -> File:
    """The one of the root."""
    return File(tmp_path / ".ballast")


async def put(store: Any, data: bytes) -> str:
    """Store bytes."""
    return str(await store.put(ObjectId.new(), make_content(data).content_hash, data))


async def test_the_blocks_are_there(tmp_path: Path, opened: Any, file: File) -> None:
    """From the first opening on; the walks over blobs do not see it."""
    async with opened(tmp_path) as store:
        assert (file.length, file.allocated >= MIB) == (MIB, True)
        assert await store.scan(after=None, limit=10) == []
        assert await store.staged(older_than_s=0, limit=10) == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
async def test_removing_goes_on(tmp_path: Path, opened: Any, file: File, error: int) -> None:
    """Each name takes a block, and all the blobs go; then, with room, it is whole."""
    volume = SmallVolume(error=error)
    async with opened(tmp_path, ops=volume) as store:
        locators = [await put(store, bytes([number])) for number in range(100)]
        volume.fill()
        with pytest.raises(StorageFull):
            await put(store, b"new")
        assert await store.remove(locators) == {}
        assert 0 < file.length < MIB
        assert len(await store.trash(older_than_s=0, limit=1000)) == 100
        await store.space()
        assert file.length < MIB
        volume.is_full = False
        await store.space()
        assert (file.length, file.allocated >= MIB) == (MIB, True)


async def test_a_blob_comes_back(tmp_path: Path, opened: Any, file: File) -> None:
    """Out of the trash, with the directories that it needs, which are gone."""
    volume = SmallVolume()
    async with opened(tmp_path, ops=volume) as store:
        locator = await put(store, b"one")
        await store.remove([locator])
        (tmp_path / locator).parent.rmdir()
        (tmp_path / locator).parent.parent.rmdir()
    async with opened(tmp_path, ops=volume) as store:
        volume.fill()
        assert await store.restore(locator)
        assert await store.stat(locator) == 3
        assert file.length < MIB


async def test_uploads_get_none_of_it(tmp_path: Path, opened: Any, file: File) -> None:
    """Neither small nor streamed ones, not even for their names."""
    volume = SmallVolume()
    async with opened(tmp_path, ops=volume, reserve_bytes=0) as store:
        volume.fill()
        with pytest.raises(StorageFull):
            await put(store, b"new")
        with pytest.raises(StorageFull):
            await store.stage(ObjectId.new())
        assert file.length == MIB


async def test_it_ends(tmp_path: Path, opened: Any, file: File) -> None:
    """Where others take every piece, the failure is told, and nothing is lost."""
    volume = SmallVolume(others_take=1000)
    async with opened(tmp_path, ops=volume) as store:
        locator = await put(store, b"one")
        volume.fill()
        failures = await store.remove([locator])
        assert isinstance(failures[locator], StorageFull)
        assert file.length == 0
        assert await store.stat(locator) == 3
        assert isinstance((await store.remove([locator]))[locator], StorageFull)
        volume.is_full = False
        await store.space()
        assert file.length == MIB


async def test_other_failures_cost_nothing(tmp_path: Path, opened: Any, file: File) -> None:
    """A volume that is broken would take piece after piece for nothing."""
    volume = SmallVolume(error=errno.EIO)
    async with opened(tmp_path, ops=volume) as store:
        locator = await put(store, b"one")
        volume.fill()
        assert list(await store.remove([locator])) == [locator]
        assert file.length == MIB


@pytest.mark.parametrize("free", [0, 5 * MIB - 1])
async def test_it_is_not_made_of_the_last_blocks(
    tmp_path: Path, opened: Any, file: File, free: int
) -> None:
    """An opening on a volume that is nearly full leaves it so; removing fails as it did."""

    class Nearly(SmallVolume):
        def statvfs(self, fd: int) -> os.statvfs_result:
            facts = list(super().statvfs(fd))
            facts[0] = facts[1] = 1
            facts[4] = free
            return os.statvfs_result(facts)

    volume = Nearly()
    async with opened(tmp_path, ops=volume, reserve_bytes=0) as store:
        assert not file.is_there
        volume.fill()
        locator = make_content(b"one").content_hash
        assert await store.remove([f"{locator.hex[:2]}/{locator.hex[2:4]}/{locator.hex}"])


async def test_a_command_makes_none(tmp_path: Path, file: File) -> None:
    """It would belong to who ran it; one that is there is made whole all the same."""
    options = LocalFSOptions(root=str(tmp_path))
    async with open_context("blobs.hot", storage_class=StorageClass.HOT) as context:
        command = replace(context, create=False)
        async with open_store(options, command):
            assert not file.is_there
        file.path.touch()
        async with open_store(options, command):
            assert file.length == MIB


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A real volume, on which directories take blocks."""
    folder, image = tmp_path / "volume", tmp_path / "image"
    folder.mkdir()
    image.touch()
    os.truncate(image, 64 * MIB)
    for command in (
        ["mkfs.ext4", "-q", "-F", "-m", "0", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ):
        if shutil.which(command[0]) is None:
            do_without("mount", f"there is no {command[0]} here")
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            do_without("mount", f"no filesystem can be mounted here: {ran.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("has_ballast", [True, False])
async def test_a_real_volume(ext4: Path, opened: Any, has_ballast: bool) -> None:
    """Full to the last block: all blobs go with ballast, and most of them stay without."""
    async with opened(ext4 / "root", reserve_bytes=0) as store:
        locators = [await put(store, b"%d" % number) for number in range(120)]
        if not has_ballast:
            File(ext4 / "root/.ballast").path.unlink()
        file = os.open(ext4 / "somebody-elses", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(file, bytes(BLOCK))
        os.fsync(file)
        os.close(file)
        failed = await store.remove(locators)
        assert (len(failed) == 0) is has_ballast
        assert all(isinstance(error, StorageFull) for error in failed.values())
        trashed = await store.trash(older_than_s=0, limit=1000)
        assert len(trashed) == len(locators) - len(failed)
        await store.purge(trashed)
