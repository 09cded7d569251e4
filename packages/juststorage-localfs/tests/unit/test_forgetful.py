"""The disk that forgets what was not synced: all of it, or some of it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from juststorage_localfs.testing import ForgetfulOps

SAFE, NEW = b"s" * 5000, b"n" * 20_000
CREATE = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Disk:
    """One with a file that is safe, and changes to it and beside it that are not.

    `kept` was synced, bytes and name; then it was written on. `new` has bytes that were synced, and
    a name that was not, in place of a file that was safe.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        (folder / "safe").mkdir()
        self.ops = ForgetfulOps(self.root, folder / "safe")
        self.directory = self.ops.open(str(self.root), os.O_RDONLY)
        self._written("kept", SAFE, synced=True)
        (self.root / "new").write_bytes(SAFE)
        self._written("staged", NEW, synced=True)
        self.ops.rename("staged", "new", dir_fd=self.directory)
        self._written("kept", NEW, synced=False)

    def _written(self, name: str, data: bytes, *, synced: bool) -> None:
        fd = self.ops.open(name, CREATE, dir_fd=self.directory)
        self.ops.write(fd, data)
        if synced:
            self.ops.fsync(fd)
        self.ops.close(fd)

    def after(self, chance: random.Random | None) -> tuple[bytes, bytes]:
        """What `kept` and `new` are after a cut."""
        self.ops.cut(chance)
        self.ops.close(self.directory)
        return (self.root / "kept").read_bytes(), (self.root / "new").read_bytes()


def test_all_that_was_not_synced_is_lost(tmp_path: Path) -> None:
    """Unless chance has it otherwise."""
    assert Disk(tmp_path).after(None) == (SAFE, SAFE)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, bytes]]:
    """Of many cuts, each by another chance."""
    return [Disk(tmp_path_factory.mktemp("d")).after(random.Random(n)) for n in range(100)]


def test_what_is_safe_is_never_touched(outcomes: list[tuple[bytes, bytes]]) -> None:
    """Whatever chance says: of a file its first bytes, and of a name one of its two files."""
    assert all(kept.startswith(SAFE) for kept, _ in outcomes)
    assert {new for _, new in outcomes} == {SAFE, NEW}


def test_any_part_of_what_is_not_safe_may_be_there(outcomes: list[tuple[bytes, bytes]]) -> None:
    """All, none, the first bytes, or blocks with zeros between them; nothing that never was."""
    rests = [kept.removeprefix(SAFE) for kept, _ in outcomes]
    assert {b"", NEW} < set(rests)
    assert any(0 < len(rest) < len(NEW) for rest in rests)
    with_zeros = [rest for rest in rests if 0 in rest]
    assert with_zeros
    for rest in with_zeros:
        assert len(rest) == len(NEW)
        at = 4096 - len(SAFE) % 4096  # blocks are those of the file
        blocks = [rest[:at], *(rest[n : n + 4096] for n in range(at, len(rest), 4096))]
        assert all(len(set(block)) == 1 for block in blocks)


def test_a_chance_repeats_itself(tmp_path: Path) -> None:
    """What broke by one breaks again by the same."""
    first, again = (Disk(tmp_path / name).after(random.Random(7)) for name in "ab")
    assert first == again
