"""The soak, short: long enough to break what is broken often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.soak import soak


@pytest.mark.timeout(180)
def test_a_short_soak_breaks_no_promise(tmp_path: Path) -> None:
    """Kills, collectors without grace and equal contents lose nothing and undo nothing."""
    counts = soak(tmp_path, seconds=15, seed=1, clients=8)
    assert counts["upload"] > 50
    assert counts["kills"] >= 3
