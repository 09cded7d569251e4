"""A sync that is repeated after it failed is noticed, and no other one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.syncs import Syncs, repeated


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """Where the file of the points would be."""
    return tmp_path / "points"


@pytest.fixture
def syncs(points: Path) -> Iterator[Syncs]:
    """Those of this process."""
    made = Syncs(points)
    yield made
    made.close()


def fail(fd: int) -> None:
    """As a disk does."""
    raise OSError(5, "told to fail")


def test_a_file_is_known_again(syncs: Syncs, points: Path, tmp_path: Path) -> None:
    """Through the same descriptor, and through another one."""
    path = tmp_path / "file"
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    syncs.sync(first, os.fsync, "fsync")
    with pytest.raises(OSError, match="told"):
        syncs.sync(first, fail, "fsync")
    assert repeated(points) == []
    syncs.sync(first, os.fsync, "fsync")
    assert repeated(points) == [f"fsync of {path}"]
    syncs.closed(first)
    os.close(first)
    second = os.open(path, os.O_RDWR)
    syncs.sync(second, os.fsync, "fsync")
    assert len(repeated(points)) == 2
    os.close(second)


def test_other_files_are_not_blamed(syncs: Syncs, points: Path, tmp_path: Path) -> None:
    """Neither one with the same descriptor, nor one that would have the same number on the disk."""
    for number in range(20):
        fd = os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT)
        with pytest.raises(OSError, match="told"):
            syncs.sync(fd, fail, "fsync")
        (tmp_path / str(number)).unlink()
        syncs.closed(fd)
        os.close(fd)
    assert repeated(points) == []


def test_a_directory_is_known_by_its_descriptor(syncs: Syncs, points: Path, tmp_path: Path) -> None:
    """Its next change is another one, which its own descriptor answers for."""
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="told"):
        syncs.sync(fd, fail, "syncfs")
    syncs.closed(fd)
    syncs.sync(fd, os.fsync, "syncfs")
    assert repeated(points) == []
    with pytest.raises(OSError, match="told"):
        syncs.sync(fd, fail, "syncfs")
    syncs.sync(fd, os.fsync, "syncfs")
    assert repeated(points) == [f"syncfs of {tmp_path}"]
    os.close(fd)
