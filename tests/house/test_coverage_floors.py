"""The floors that .ci/run holds: one for each package, and none that holds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
FLOOR_MIN = 90


def floors(text: str) -> dict[str, int]:
    """The floors as .ci/run reads them: comments left out, a package and a percentage a line."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    found = {package: int(floor) for package, floor in lines}
    assert len(found) == len(lines), "a package has two floors"
    return found


def test_every_package_has_a_floor() -> None:
    """Without its line, or with an empty file, a package could lose all its tests unseen."""
    assert sorted(floors((ROOT / ".ci/coverage-floors").read_text())) == PACKAGES


def test_a_floor_holds_something() -> None:
    """A floor far below what is covered would let it be lost."""
    found = floors((ROOT / ".ci/coverage-floors").read_text())
    assert found
    assert all(FLOOR_MIN <= floor <= 100 for floor in found.values())


@pytest.mark.parametrize("text", ["a\n", "a 95 b\n", "a much\n", "a 95\na 96\n"])
def test_a_line_that_says_no_floor_is_noticed(text: str) -> None:
    """.ci/run would take it for another one."""
    with pytest.raises((ValueError, AssertionError)):
        floors(text)
