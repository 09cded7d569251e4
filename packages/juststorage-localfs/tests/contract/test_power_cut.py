"""`localfs` on a disk that forgets what was not synced, through the kit's tests of power cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from juststorage.testing import BlobStoreContract
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions
from juststorage_localfs.testing import ForgetfulOps

pytest_plugins = ["juststorage.testing.fixtures"]


class Forgetful(BlobStoreContract):
    """Each test on a disk of its own."""

    disk = ForgetfulOps

    @pytest.fixture
    def options(self, tmp_path: Path) -> LocalFSOptions:
        """The disk is empty, and so is what it may have to bring back."""
        (tmp_path / "safe").mkdir()
        self.made = self.disk(tmp_path / "root", tmp_path / "safe")
        self.backend = replace(LOCALFS, open=self.made.open_store)
        return LocalFSOptions(root=str(tmp_path / "root"), create_root=True)

    @pytest.fixture
    def power_cut(self, options: LocalFSOptions) -> Callable[[], None]:
        """The disk takes nothing any more, and has only what was synced when it is opened again."""
        return self.made.power_off


class TestPowerCut(Forgetful):
    """The whole contract: on such a disk `localfs` does all that it does on others."""

    backend = LOCALFS
    machine_examples = 5


class NamesForgotten(ForgetfulOps):
    """A disk that says that it synced a directory, and did not."""

    def fsync_directory(self, path: str, *, dir_fd: int) -> None:
        """Nothing."""


class BytesForgotten(ForgetfulOps):
    """A disk that takes a file's bytes for safe when they are not."""

    def fsync(self, fd: int) -> None:
        """Only names become safe, which is what a directory's sync does."""
        dirty = dict(self._dirty)
        super().fsync(fd)
        self._dirty |= dirty


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("disk", "told"),
    [
        (NamesForgotten, "the name was lost: sync the directory before returning"),
        (BytesForgotten, "bytes were lost: sync them in `finish`, before the name"),
    ],
)
async def test_a_sync_that_is_left_out_is_noticed(
    tmp_path: Path, disk: type[ForgetfulOps], told: str
) -> None:
    """The kit would fail a `localfs` whose syncs did nothing: so that passing says something."""
    (tmp_path / "safe").mkdir()
    made = disk(tmp_path / "root", tmp_path / "safe")
    contract = TestPowerCut()
    contract.backend = replace(LOCALFS, open=made.open_store)  # type: ignore[misc]
    options = LocalFSOptions(root=str(tmp_path / "root"), create_root=True)
    with pytest.raises(AssertionError, match=told):
        await contract.test_what_was_acknowledged_survives_a_power_cut(options, made.power_off)
