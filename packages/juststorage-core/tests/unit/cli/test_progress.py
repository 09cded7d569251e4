"""The bar that commands share, on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from juststorage.cli import Progress, readable_bytes


class Terminal:
    """A terminal, and what was shown on it."""

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def read(self) -> str:
        """What is new."""
        shown = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._leader, 65_536):
                shown += piece
        return shown.decode()

    def percentages(self) -> list[int]:
        """What is new of the bar's numbers."""
        return [int(number) for number in re.findall(r"(\d+)%", self.read())]


@contextlib.contextmanager
def watching() -> Iterator[Terminal]:
    """Somebody watches standard error while the block lasts."""
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    try:
        file = open(follower, "w")  # noqa: PTH123, SIM115  a descriptor has no path
        with file, contextlib.redirect_stderr(file):
            yield Terminal(leader)
    finally:
        os.close(leader)


def test_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is drawn, and all is counted."""
    with Progress("it") as bar:
        bar.expects(10)
        bar.moved(10)
    assert not bar.is_watched
    assert bar.bytes == 10
    assert capsys.readouterr().err == ""


def test_where_somebody_watches() -> None:
    """The label and the rate are in it; the first number is the one that counts."""
    with watching() as terminal:
        with Progress("label") as bar:
            bar.expects(4096)
            bar.moved(4096)
            bar.expects(8192)
        shown = terminal.read()
    assert "label" in shown and "iB/s" in shown and "100%" in shown


@pytest.mark.parametrize(("quiet", "size"), [(True, 4096), (False, 0)])
def test_nothing_is_drawn_for_programs_or_of_nothing(quiet: bool, size: int) -> None:
    """`quiet` wins over the terminal; of no bytes there is no bar."""
    with watching() as terminal:
        with Progress("it", quiet=quiet) as bar:
            bar.expects(size)
            bar.moved(size)
        assert terminal.read() == ""


def test_the_last_step_is_drawn() -> None:
    """Also where it is so small that it would not be, in the middle."""
    with watching() as terminal:
        with Progress("it") as bar:
            bar.expects(10**6)
            bar.moved(10**6 - 1)
            assert terminal.percentages()[-1] == 99
            bar.moved(1)
            assert terminal.percentages() == []
        assert terminal.percentages() == [100]


def test_it_goes_back() -> None:
    """What has to be moved again is not moved yet, even after it looked done."""
    with watching() as terminal, Progress("it") as bar:
        bar.expects(4)
        bar.moved(4)
        assert terminal.percentages()[-1] == 100
        bar.moved(-4)
        assert terminal.percentages() == [0]
        bar.moved(2)
        assert terminal.percentages() == [50]
        assert bar.bytes == 2


def test_several_threads() -> None:
    """Each piece counts once."""
    with watching() as terminal:
        with Progress("it") as bar:
            bar.expects(40)
            with ThreadPoolExecutor(8) as pool:
                for _ in range(40):
                    pool.submit(bar.moved, 1)
        assert bar.bytes == 40
        drawn = terminal.percentages()
    assert drawn == sorted(drawn) and drawn[-1] == 100


def test_readable_bytes() -> None:
    """Binary units."""
    assert [readable_bytes(each) for each in (5, 2048, 3 * 2**30)] == ["5 B", "2.0 KiB", "3.0 GiB"]
