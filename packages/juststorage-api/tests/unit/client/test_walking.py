"""The walk of an import along a directory tree."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from juststorage_api._client import _import
from juststorage_api._client._import import _files
from juststorage_api._client._parallel import Report


def test_in_the_order_of_names(tmp_path: Path) -> None:
    """Of one directory after the other, so that it is the same each time."""
    for name in ("b/2", "b/1", "c", "a", "b/d/3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [each.name for each in _files(tmp_path)] == ["a", "c", "b/1", "b/2", "b/d/3"]


def test_a_directory_of_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and its size in memory is that of a few of them."""
    monkeypatch.setattr(_import, "_SORTED", 100)
    for number in range(3_000):
        (tmp_path / f"{number:04}").touch()

    def peak_bytes() -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in _files(tmp_path)) == 3_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # What a thread that another test has left allocates meanwhile counts, too.
    assert min(peak_bytes() for _ in range(3)) < 3_000 * 200
    assert {each.name for each in _files(tmp_path)} == {f"{each:04}" for each in range(3_000)}


def test_a_directory_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a failure by its name, and the rest is found."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    whole = _import._entries

    def entries(directory: str) -> object:
        if directory.endswith("gone"):
            raise PermissionError(13, "Permission denied", directory)
        return whole(directory)

    monkeypatch.setattr(_import, "_entries", entries)
    report = Report(as_json=False)
    assert [each.name for each in _files(tmp_path, report)] == ["there/file"]
    assert report.counts == {"failed": 1}
    assert "'gone': Permission denied" in capsys.readouterr().err
