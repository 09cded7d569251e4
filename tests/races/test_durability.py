"""R14, R15, R16: what is on the disk when the power goes, and on which disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from juststorage.errors import Misconfigured
from juststorage_localfs._fsops import FsOps
from tests.races.points import Killed
from tests.races.power import ForgetfulOps, LocalFSOn
from tests.races.world import World

DATA = b"bytes that someone was told are stored"


@pytest.fixture
def disks(tmp_path: Path) -> dict[str, ForgetfulOps]:
    """The volume of each storage class."""
    made = {}
    for name in ("hot", "cold"):
        safe = tmp_path / f"safe {name}"
        safe.mkdir()
        made[name] = ForgetfulOps(tmp_path / name, safe)
    return made


@pytest.fixture
def plugins(disks: dict[str, ForgetfulOps]) -> list[object]:
    """Files on those volumes."""
    return [LocalFSOn(lambda context: disks[str(context.storage_class)])]


@pytest.fixture
def blob_backend() -> str:
    """The same."""
    return "watched"


async def power_cut(world: World, disks: dict[str, ForgetfulOps]) -> None:
    """Everything stops, what was not synced is gone, and the machine starts again."""
    await world.stop()
    for disk in disks.values():
        disk.cut()


@pytest.mark.parametrize("how", ["upload", "stream"])
async def test_r14_what_was_acknowledged_survives_a_power_cut(
    world: World, disks: dict[str, ForgetfulOps], how: str
) -> None:
    """Bytes, names, and the names of new directories are synced before the answer."""
    process = await world.process("one")
    for number in range(5):
        await getattr(process, how)(DATA + b"%d" % number)
    await power_cut(world, disks)
    process = await world.process("two")
    for object_id, data in world.owed.items():
        assert await process.read(object_id) == data


async def test_r14_a_power_cut_before_the_answer_leaves_nothing_wrong(
    world: World, disks: dict[str, ForgetfulOps]
) -> None:
    """A name that the disk never held has a row that is not stored: nobody counts on it."""
    process = await world.process("one")

    def die(path: str) -> None:
        process.points.kill()
        raise OSError(5, "the power is gone")

    disks["hot"].before_directory_sync = die
    with pytest.raises(Killed):
        await process.upload(DATA, lease_s=0)
    disks["hot"].before_directory_sync = lambda path: None
    await power_cut(world, disks)
    assert await (await world.process("two")).row(DATA) is not None


async def test_r15_a_file_that_a_crashed_upload_never_synced(
    world: World, disks: dict[str, ForgetfulOps]
) -> None:
    """A file in its place proves nothing: only stored_at does, so the next upload places its own.

    The first upload dies between the rename and the sync of the directory, its process is gone and
    will not sync anything any more; only then the second one comes.
    """
    crashed, uploader = await world.two()

    def die(path: str) -> None:
        crashed.points.kill()
        raise OSError(5, "the process is gone")

    disks["hot"].before_directory_sync = die
    with pytest.raises(Killed):
        await crashed.upload(DATA, lease_s=0)
    disks["hot"].before_directory_sync = lambda path: None
    assert await uploader.runtime.blobs["hot"].scan(after=None, limit=10)  # type: ignore[index]
    uploaded = await uploader.upload(DATA)
    assert "after put" in uploader.points.passed
    await power_cut(world, disks)
    assert await (await world.process("three")).read(uploaded) == DATA


async def test_r15_beside_an_upload_that_is_about_to_sync(
    world: World, disks: dict[str, ForgetfulOps]
) -> None:
    """Nor does the sync that another upload will do some day: each waits for its own."""
    slow, quick = await world.two()
    reached, goes_on = anyio.Event(), threading.Event()
    home = anyio.lowlevel.current_token()

    def wait(path: str) -> None:
        disks["hot"].before_directory_sync = lambda path: None
        anyio.from_thread.run_sync(reached.set, token=home)
        assert goes_on.wait(20)

    disks["hot"].before_directory_sync = wait
    async with world.together() as start:
        uploading = start(slow.stream, DATA)
        await reached.wait()
        uploaded = await quick.stream(DATA)
        assert "after place" in quick.points.passed
        assert disks["hot"].unsafe() == []  # before the slow one has synced anything
        goes_on.set()
        await uploading.result()
    await power_cut(world, disks)
    assert await (await world.process("three")).read(uploaded) == DATA


class _StagingElsewhere(FsOps):
    """A volume whose staging directory someone has mounted from another one."""

    def stat(self, path: str, *, dir_fd: int | None = None, follow: bool = False) -> os.stat_result:
        """Another device for one directory."""
        facts = super().stat(path, dir_fd=dir_fd, follow=follow)
        if path != ".staging":
            return facts
        fields = list(facts)
        fields[2] += 1
        return os.stat_result(fields)


async def test_r16_staging_on_another_filesystem_is_refused(world: World) -> None:
    """At the start, before any upload: a rename from there would be a copy, or fail."""
    good = list(world.plugins)
    world.plugins[:] = [LocalFSOn(lambda context: _StagingElsewhere())]
    with pytest.raises(Misconfigured, match="another filesystem"):
        await world.process("one")
    world.plugins[:] = good
    await (await world.process("two")).upload(DATA)
