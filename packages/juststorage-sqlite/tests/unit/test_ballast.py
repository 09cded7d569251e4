"""The file that keeps blocks: when it is made, what it gives, and what its length says."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from juststorage.errors import StorageFull
from juststorage_sqlite._ballast import Ballast

MIB = 1024 * 1024
SIZE = 4 * MIB


class Disk:
    """How much is free, as the test says."""

    def __init__(self) -> None:
        self.free: int | None = 100 * MIB

    def __call__(self, directory: Path) -> int:
        if self.free is None:
            raise OSError(errno.EIO, "no answer")
        return self.free


@pytest.fixture
def disk() -> Disk:
    """A disk with room."""
    return Disk()


@pytest.fixture
def make(path: Path, disk: Disk) -> Callable[..., Ballast]:
    """The ballast beside the file, as another process would have it."""

    def made(size_bytes: int = SIZE, *, may_make: bool = True) -> Ballast:
        return Ballast(path, size_bytes, may_make=may_make, free_bytes=disk)

    return made


@pytest.fixture
def file(path: Path) -> Path:
    """Where it is."""
    return path.with_name(f"{path.name}-ballast")


@pytest.fixture
def log(path: Path) -> Path:
    """SQLite's log, of two pages."""
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(b"x" * 8192)
    return log


def blocks(path: Path) -> int:
    """The bytes that are really there."""
    return path.stat().st_blocks * 512


def test_without_room_it_is_not_made(make: Callable[..., Ballast], file: Path, disk: Disk) -> None:
    """As much again stays free; and one that never was is none that was given up."""
    disk.free = 2 * SIZE - 1
    ballast = make()
    ballast.keep()
    assert not file.exists()
    ballast.need_room()
    disk.free = 2 * SIZE
    ballast.keep()
    assert (file.stat().st_size, blocks(file) >= SIZE) == (SIZE, True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_command_makes_none(make: Callable[..., Ballast], file: Path) -> None:
    """It would belong to who ran it."""
    make(may_make=False).keep()
    assert not file.exists()


def test_none_is_wanted(make: Callable[..., Ballast], file: Path) -> None:
    """The option takes it away again, and whoever was refused is not any more."""
    make().keep()
    make().give_to_log(begins_anew=False)
    none = make(0)
    none.need_room()
    assert not file.exists()


def test_another_size_is_wanted(make: Callable[..., Ballast], file: Path, disk: Disk) -> None:
    """It grows and shrinks; one that is smaller than wanted is none that is in use."""
    make().keep()
    disk.free = 0
    larger = make(2 * SIZE)
    larger.need_room()
    larger.keep()
    assert file.stat().st_size == SIZE
    disk.free = 3 * SIZE
    larger.keep()
    assert (file.stat().st_size, blocks(file) >= 2 * SIZE) == (2 * SIZE, True)
    make(MIB).keep()
    assert file.stat().st_size == MIB


def test_the_log_gets_one_half(make: Callable[..., Ballast], file: Path, log: Path) -> None:
    """Behind what is in it, but for what SQLite's index of it may need; then half of the rest."""
    ballast = make()
    ballast.keep()
    ballast.give_to_log(begins_anew=False)
    assert (file.stat().st_size, ballast.in_use) == (SIZE // 2, True)
    assert log.read_bytes()[:8193] == b"x" * 8192 + b"\0"
    size = log.stat().st_size
    assert 8192 + SIZE // 2 - MIB // 4 <= size <= 8192 + SIZE // 2
    assert blocks(log) >= size
    for left in (SIZE // 4, SIZE // 8, 1, 1):
        ballast.give_to_log(begins_anew=False)
        assert file.stat().st_size == left
        assert log.stat().st_size >= size
        size = log.stat().st_size


def test_a_log_that_begins_anew_gets_no_more(
    make: Callable[..., Ballast], file: Path, log: Path
) -> None:
    """Once it is half as long as the ballast was, so that the other half lasts."""
    ballast = make()
    ballast.keep()
    for _ in range(3):
        ballast.give_to_log(begins_anew=True)
        assert 0 <= file.stat().st_size - SIZE // 2 <= 8192
    assert ballast.in_use
    os.truncate(log, 2 * SIZE)
    file.unlink()
    ballast.keep()
    ballast.give_to_log(begins_anew=True)
    assert (file.stat().st_size, log.stat().st_size, ballast.in_use) == (SIZE, 2 * SIZE, True)


@pytest.mark.parametrize(
    ("lacking", "given"), [(-MIB, 0), (0, 0), (MIB, MIB + 65536), (3 * MIB, SIZE // 2)]
)
def test_the_database_gets_what_it_has_to_grow_by(
    make: Callable[..., Ballast], path: Path, file: Path, lacking: int, given: int
) -> None:
    """Not more than half: the rest is the log's."""
    path.touch()
    os.truncate(path, 2 * MIB)
    ballast = make()
    ballast.keep()
    ballast.give_to_database(2 * MIB + lacking)
    assert (file.stat().st_size, ballast.in_use) == (SIZE - given, given > 0)
    while ballast.can_give():
        ballast.give_to_log(begins_anew=False)
    ballast.give_to_database(9 * MIB)
    assert (file.stat().st_size, ballast.in_use) == (1, True)


def test_what_stores_more_is_refused_until_there_is_room(
    make: Callable[..., Ballast], file: Path, log: Path, disk: Disk
) -> None:
    """In every process, those included that start later; whoever is refused makes it again."""
    ballast = make()
    ballast.keep()
    ballast.give_to_log(begins_anew=False)
    disk.free = 3 * SIZE // 2 - 1
    for each in (ballast, make(), make(may_make=False)):
        assert each.in_use
        with pytest.raises(StorageFull):
            each.need_room()
    disk.free = None
    with pytest.raises(StorageFull):
        ballast.need_room()
    disk.free = 2 * SIZE
    make(may_make=False).need_room()
    assert file.stat().st_size == SIZE
    assert not make().in_use
    disk.free = 0
    ballast.need_room()  # it hears of it as soon as it asks
    assert not ballast.in_use


def test_there_is_none_to_give(make: Callable[..., Ballast], file: Path, log: Path) -> None:
    """Nothing is refused for a ballast that never was, and nothing is made on the way."""
    ballast = make()
    ballast.give_to_log(begins_anew=False)
    assert not ballast.give_to_opening()
    assert not ballast.is_tight()
    assert (ballast.in_use, file.exists(), log.stat().st_size) == (False, False, 8192)


def test_an_opening_gets_a_little(make: Callable[..., Ballast], file: Path) -> None:
    """Again and again until it is all gone."""
    ballast = make()
    ballast.keep()
    pieces = 0
    while ballast.give_to_opening():
        pieces += 1
        assert (file.stat().st_size, ballast.in_use) == (max(1, SIZE - pieces * 65536), True)
    assert pieces == SIZE / 65536


def test_it_is_taken_back(make: Callable[..., Ballast], file: Path, disk: Disk) -> None:
    """By who closes last, whatever is free; it stays in use until there is room for more."""
    ballast = make()
    ballast.keep()
    ballast.take_back()
    assert (file.stat().st_size, ballast.in_use) == (SIZE, False)
    ballast.give_to_opening()
    disk.free = SIZE - 1
    ballast.take_back()
    assert file.stat().st_size == SIZE
    for each in (ballast, make()):
        with pytest.raises(StorageFull):
            each.need_room()
    disk.free = SIZE
    ballast.need_room()
    assert not make().in_use


def test_who_may_do_it_again(make: Callable[..., Ballast], disk: Disk, log: Path) -> None:
    """Who finds some, and who hears only now that another one has given it to the log."""
    first, second, third = make(), make(), make()
    assert not first.can_give()
    first.keep()
    assert first.can_give()
    while first.can_give():
        first.give_to_log(begins_anew=False)
    assert second.can_give()
    assert not second.can_give()
    third.give_to_log(begins_anew=False)
    assert (third.in_use, third.can_give()) == (True, False)


def test_a_long_transaction_gets_it_where_little_is_left(
    make: Callable[..., Ballast], file: Path, log: Path, disk: Disk
) -> None:
    """Not where there is room, not twice, and not where nobody can tell."""
    ballast = make()
    ballast.keep()
    assert not ballast.is_tight()
    disk.free = None
    assert not ballast.is_tight()
    disk.free = 4 * MIB - 1
    assert ballast.is_tight()
    while ballast.can_give():
        ballast.give_to_log(begins_anew=False)
    assert not ballast.is_tight()


def test_without_a_log_the_volume_gets_it(make: Callable[..., Ballast], file: Path) -> None:
    """A log that cannot be grown is no reason to keep it."""
    ballast = make()
    ballast.keep()
    ballast.give_to_log(begins_anew=False)
    assert (file.stat().st_size, ballast.in_use) == (SIZE // 2, True)
    ballast.give_to_log(begins_anew=True)
    assert (file.stat().st_size, ballast.in_use) == (SIZE // 2, True)


def test_a_file_that_is_somebody_elses(make: Callable[..., Ballast], file: Path) -> None:
    """What cannot be made or given up stops nothing."""
    file.mkdir()
    (file / "x").touch()
    ballast = make(2**40)
    ballast.keep()
    ballast.give_to_log(begins_anew=False)
    ballast.take_back()
    assert not ballast.give_to_opening()
    assert not ballast.in_use
    assert (file / "x").exists()
