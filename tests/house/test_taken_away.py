"""Techniques whose worth `benchmarks/without` measures can still be taken away."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((ROOT / "benchmarks/taken_away").glob("*.patch"))


def test_there_are_some() -> None:
    """Else the test below would say nothing."""
    assert PATCHES


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_patch_applies(patch: Path) -> None:
    """The source that it changes is as it was when the patch was made, where it changes it."""
    ran = subprocess.run(
        ["git", "apply", "--check", "--verbose", patch],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
