"""What an opening refuses, makes and leaves."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from juststorage.domain import ObjectId, StorageClass
from juststorage.errors import Misconfigured, StorageFull, Unavailable
from juststorage.testing import make_content, open_backend
from juststorage_localfs._fsops import FsOps
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions

DATA = b"some bytes"
HASH = make_content(DATA).content_hash


async def refusal(opened: Any, root: Path, **more: Any) -> str:
    """The sentence that an opening is refused with."""
    with pytest.raises(Misconfigured) as caught:
        async with opened(root, **more):
            raise AssertionError("opened")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("blobs.")
    return sentence


async def test_a_missing_root_is_refused(tmp_path: Path, opened: Any) -> None:
    """A configured directory that is missing is a volume that is not mounted."""
    assert "does not exist" in await refusal(opened, tmp_path / "absent", create_root=False)
    assert not (tmp_path / "absent").exists()


async def test_a_root_is_made_when_asked_for(tmp_path: Path, opened: Any, ops: Any) -> None:
    """`create_root` makes it and what is above it, each name synced in its parent."""
    async with opened(tmp_path / "a" / "b", ops=ops) as store:
        await store.put(ObjectId.new(), HASH, DATA)
    made = [entry for entry in ops.log if entry[0] in {"mkdir", "fsync"}][:4]
    assert made == [
        ("mkdir", str(tmp_path / "a")),
        ("fsync", str(tmp_path)),
        ("mkdir", str(tmp_path / "a" / "b")),
        ("fsync", str(tmp_path / "a")),
    ]


async def test_the_default_root_is_named_after_the_class(tmp_path: Path) -> None:
    """Without options, each class has a directory in the service's data directory."""
    for storage_class in StorageClass:
        async with open_backend(
            LOCALFS, data_dir=tmp_path / "data", storage_class=storage_class
        ) as store:
            locator = await store.put(ObjectId.new(), HASH, DATA)
        path = tmp_path / "data" / storage_class.value / locator
        assert path.read_bytes() == DATA


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A relative path to a link to the directory `real`."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    return Path(os.path.relpath(tmp_path / "link"))


async def test_a_relative_root_and_a_link(tmp_path: Path, linked: Path, opened: Any) -> None:
    """A root is used where it really is, and `local_path` says so."""
    async with opened(linked) as store:
        locator = await store.put(ObjectId.new(), HASH, DATA)
        async with await store.open(locator) as reader:
            assert reader.local_path == str(tmp_path / "real" / locator)


async def test_a_root_that_is_a_file(tmp_path: Path, opened: Any) -> None:
    """A file is no root, nor is a directory below one."""
    (tmp_path / "file").write_bytes(b"")
    assert "not a directory" in await refusal(opened, tmp_path / "file")
    assert "cannot be used" in await refusal(opened, tmp_path / "file" / "below")


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EIO])
async def test_a_root_that_cannot_be_used(
    tmp_path: Path, opened: Any, ops: Any, open_files: Any, error: int
) -> None:
    """Whatever call fails while a store opens, it is refused as a setting, and leaks nothing."""
    before = open_files()
    for number in count(1):
        ops.fail_at(number, error)
        root = tmp_path / str(number)
        with suppress(Misconfigured):
            async with opened(root, ops=ops):
                ops.disarm()
        assert open_files() == before
        if ops.fired is None:
            break
        async with opened(root) as store:
            await store.put(ObjectId.new(), HASH, DATA)
    assert number > 10


async def test_a_full_volume_opens(
    tmp_path: Path, opened: Any, ops: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What is there can be read and removed: that is how a volume ceases to be full."""
    async with opened(tmp_path) as store:
        locator = await store.put(ObjectId.new(), HASH, DATA)

    class Full(FsOps):
        def write(self, fd: int, data: Any) -> int:
            raise OSError(errno.ENOSPC, "full")

    with caplog.at_level(logging.WARNING):
        async with opened(tmp_path, ops=Full()) as store:
            assert "full" in caplog.text
            with pytest.raises(StorageFull):
                await store.ping()
            with pytest.raises(StorageFull):
                await store.put(ObjectId.new(), HASH, DATA)
            assert await store.stat(locator) == len(DATA)
            assert await store.remove([locator]) == {}


@pytest.mark.parametrize("folder", [".staging", ".trash"])
async def test_another_filesystem_inside_is_refused(
    tmp_path: Path, opened: Any, folder: str
) -> None:
    """R16: a rename across filesystems would be a copy, so the root must be one."""

    class Elsewhere(FsOps):
        def stat(self, path: str, **how: Any) -> os.stat_result:
            facts = super().stat(path, **how)
            if path != folder:
                return facts
            changed = list(facts)
            changed[2] += 1
            return os.stat_result(changed)

    assert folder in await refusal(opened, tmp_path, ops=Elsewhere())


async def test_a_network_filesystem_is_refused(tmp_path: Path, opened: Any) -> None:
    """Unless it is allowed, and then files are synced one by one there."""

    class Remote(FsOps):
        def mounts(self) -> str:
            return "22 1 0:1 / / rw - nfs4 server:/export rw\n"

        def sync_volume(self, fd: int) -> None:
            raise AssertionError("not on a network")

    assert "nfs4" in await refusal(opened, tmp_path, ops=Remote())
    async with opened(tmp_path, ops=Remote(), allow_network_filesystem=True) as store:
        await store.put(ObjectId.new(), HASH, DATA)


async def test_a_root_serves_one_class(tmp_path: Path, opened: Any) -> None:
    """Two classes in one root would remove each other's files."""
    async with opened(tmp_path, storage_class=StorageClass.HOT) as store:
        locator = await store.put(ObjectId.new(), HASH, DATA)
    assert "class hot" in await refusal(opened, tmp_path, storage_class=StorageClass.COLD)
    async with opened(tmp_path) as first, opened(tmp_path) as second:
        assert await first.stat(locator) == await second.stat(locator) == len(DATA)


async def test_a_root_within_a_root_is_refused(tmp_path: Path, opened: Any) -> None:
    """Whichever comes second: the inner one would look like blobs of the outer one."""
    async with opened(tmp_path / "one"):
        pass
    inner = tmp_path / "one" / "cold"
    assert "within" in await refusal(opened, inner, storage_class=StorageClass.COLD)
    async with opened(tmp_path / "two" / "cold", storage_class=StorageClass.COLD):
        pass
    assert "holds" in await refusal(opened, tmp_path / "two")


async def test_what_uploads_would_leave_free(tmp_path: Path, opened: Any) -> None:
    """Below the reserve, uploads are refused; the rest goes on."""
    async with opened(tmp_path) as store:
        locator = await store.put(ObjectId.new(), HASH, DATA)
    async with opened(tmp_path, reserve_bytes=2**62) as store:
        with pytest.raises(StorageFull):
            await store.put(ObjectId.new(), HASH, DATA)
        with pytest.raises(StorageFull):
            await store.stage(ObjectId.new())
        assert await store.staged(older_than_s=0, limit=10) == []
        assert await store.stat(locator) == len(DATA)
        await store.ping()


async def test_a_closed_store_says_so(tmp_path: Path, opened: Any, open_files: Any) -> None:
    """After closing, calls fail as `Unavailable`; an open reader still closes."""
    before = open_files()
    async with opened(tmp_path) as store:
        reader = await store.open(await store.put(ObjectId.new(), HASH, DATA))
        staged = await store.stage(ObjectId.new())
        await staged.write(b"x")
    for call in (store.space(), store.put(ObjectId.new(), HASH, DATA), store.stage(ObjectId.new())):
        with pytest.raises(Unavailable):
            await call
    await reader.aclose()
    await staged.aclose()
    assert open_files() == before


def test_the_options_have_their_limits() -> None:
    """`root` and the rest are documented, bounded, and nothing else is accepted."""
    for bad in ({"threads": 0}, {"threads": 65}, {"reserve_bytes": -1}, {"rooot": "/x"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, LocalFSOptions)
    schema = msgspec.json.schema(LocalFSOptions)["$defs"]["LocalFSOptions"]
    assert all(field.get("description") for field in schema["properties"].values())
