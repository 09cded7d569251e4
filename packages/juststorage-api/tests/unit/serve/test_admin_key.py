"""The file of the admin key."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from juststorage.domain import ApiKeySecret
from juststorage.errors import Misconfigured
from juststorage_api._serve._admin_key import ensure_admin_key


class TestAdminKey:
    def test_a_place_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        """A data directory below a file is a wrong setting, with the system's reason."""
        (tmp_path / "file").write_text("")
        with pytest.raises(Misconfigured, match=r"data_dir: .*Not a directory"):
            ensure_admin_key(tmp_path / "file" / "data")

    def test_it_is_made_with_its_directory(self, tmp_path: Path) -> None:
        """The first start makes the directory and a key that only the owner can read."""
        path = ensure_admin_key(tmp_path / "a" / "data")
        assert path == tmp_path / "a" / "data" / "admin.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ApiKeySecret.parse(path.read_text().strip()).prefix

    def test_a_power_cut_takes_neither_key_nor_directory(self, tmp_path: Path) -> None:
        """Bytes are synced before the name is given, every name right after it was."""
        calls: list[str] = []

        def note(frame: FrameType, event: str, arg: Any) -> None:
            if event == "c_call" and arg in {os.fsync, os.link, os.mkdir}:
                calls.append(arg.__name__)

        sys.setprofile(note)
        try:
            ensure_admin_key(tmp_path / "data")
        finally:
            sys.setprofile(None)
        assert calls == ["mkdir", "fsync", "fsync", "link", "fsync"]

    def test_umask_does_not_matter(self, tmp_path: Path) -> None:
        """A careless umask does not open the file to others."""
        before = os.umask(0)
        try:
            path = ensure_admin_key(tmp_path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_key_that_is_there_stays(self, tmp_path: Path) -> None:
        """A key of the operator's choice is kept as it is."""
        (tmp_path / "admin.key").write_text("chosen by an operator\n")
        assert ensure_admin_key(tmp_path).read_text() == "chosen by an operator\n"

    def test_those_who_start_together_agree(self, tmp_path: Path) -> None:
        """Of many that start at once one makes the key; nobody ever reads half of it."""

        def start(_: int) -> str:
            return ensure_admin_key(tmp_path).read_text()

        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(start, range(64)))
        assert len(keys) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["admin.key"]

    def test_a_draft_of_a_start_that_was_killed_is_no_key(self, tmp_path: Path) -> None:
        """What a crash left behind is neither read nor in the way."""
        (tmp_path / ".admin.key.0123456789abcdef").write_text("js_half")
        key = ensure_admin_key(tmp_path).read_text().strip()
        assert ApiKeySecret.parse(key).prefix
