"""Making the data directory, and refusing to look at one that is not there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.runtime import make_data_dir, open_runtime, require_data_dir


class Recorder:
    """Notes which directories were synced, and which names each held at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, list[str]]] = []

    def __call__(self, directory: Path) -> None:
        self.calls.append((directory, sorted(path.name for path in directory.iterdir())))


class TestMake:
    def test_every_level_is_synced_after_its_name_is_there(self, tmp_path: Path) -> None:
        """A power cut takes what is below a name with the name, at whatever level it is."""
        synced = Recorder()
        make_data_dir(tmp_path / "a" / "b" / "data", sync=synced)
        assert synced.calls == [
            (tmp_path, ["a"]),
            (tmp_path / "a", ["b"]),
            (tmp_path / "a" / "b", ["data"]),
        ]

    def test_one_that_is_there_is_synced_again(self, tmp_path: Path) -> None:
        """Whoever made it may have been cut off before the sync."""
        synced = Recorder()
        (tmp_path / "data").mkdir()
        make_data_dir(tmp_path / "data", sync=synced)
        assert synced.calls == [(tmp_path, ["data"])]

    def test_a_parent_that_may_not_be_read_is_others_to_sync(self, tmp_path: Path) -> None:
        """A directory that an administrator prepared is used, whatever its parent allows."""

        def forbidden(directory: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        (tmp_path / "data").mkdir()
        make_data_dir(tmp_path / "data", sync=forbidden)

    def test_a_relative_one_is_made_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The default is relative to the working directory; others than the group keep out."""
        monkeypatch.chdir(tmp_path)
        make_data_dir(Path("data"))
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) & 0o007 == 0

    def test_a_failed_sync_leaves_nothing_new(self, tmp_path: Path) -> None:
        """A start that failed is as if it had not been; what was there before stays."""

        def failing(directory: Path) -> None:
            if directory.name == "a":
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        with pytest.raises(Misconfigured, match=r"^data_dir: cannot make .*Input/output error"):
            make_data_dir(tmp_path / "a" / "data", sync=failing)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("below", ["", "data", "a/data"])
    def test_a_file_in_its_place(self, tmp_path: Path, below: str) -> None:
        """A name that is taken by a file is a wrong setting, at whatever level."""
        (tmp_path / "file").write_text("")
        with pytest.raises(Misconfigured, match=r"^data_dir: cannot make .*: Not a directory"):
            make_data_dir(tmp_path / "file" / below)
        assert (tmp_path / "file").is_file()


class TestRequire:
    def config(self, data_dir: Path, **more: Any) -> Config:
        return Config.load(environment={}, overrides={"data_dir": str(data_dir), **more})

    @pytest.mark.parametrize("exists", [False, True])
    def test_a_missing_or_empty_one_is_refused(self, tmp_path: Path, exists: bool) -> None:
        """There is nothing to look at: the sentence has the path and the command that makes one."""
        data_dir = tmp_path / "my data"
        if exists:
            data_dir.mkdir()
        with pytest.raises(Misconfigured) as refused:
            require_data_dir(self.config(data_dir))
        assert refused.value.detail == (
            f"there is no store in {data_dir};"
            f" make one with: juststorage serve --data-dir '{data_dir}'"
        )
        assert data_dir.exists() is exists

    def test_one_with_something_in_it_is_the_backends_business(self, tmp_path: Path) -> None:
        """What is in it core does not know."""
        (tmp_path / "something").write_text("")
        require_data_dir(self.config(tmp_path))

    def test_configured_backends_say_it_themselves(self, tmp_path: Path) -> None:
        """Where backends are configured, nothing need be in the data directory."""
        require_data_dir(
            self.config(
                tmp_path / "none",
                metadata={"backend": "memory"},
                blobs={"hot": {"backend": "memory"}},
            )
        )

    @pytest.mark.parametrize("exists", [False, True])
    async def test_a_service_says_where_one_is_missing(
        self,
        story: Any,
        config: dict[str, Any],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        exists: bool,
    ) -> None:
        """A warning at the start, also where no backend keeps anything there."""
        data_dir = tmp_path if exists else tmp_path / "none"
        named = {**config, "data_dir": str(data_dir)}
        async with open_runtime(named, plugins=[story], discover=False, collect=True):
            told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert told == ([] if exists else [f"data_dir: there is no directory '{data_dir}'"])

    async def test_open_runtime_hands_it_on(self, story: Any, config: dict[str, Any]) -> None:
        """Every backend is told whether it may make a store; by default it may."""
        async with open_runtime(config, plugins=[story], discover=False):
            assert all(context.create for context in story.contexts.values())
        async with open_runtime(config, plugins=[story], discover=False, create=False):
            assert not any(context.create for context in story.contexts.values())
