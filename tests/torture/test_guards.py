"""An experiment that runs with all guards, or without one, and does not get anywhere."""

from __future__ import annotations

from pathlib import Path

from tests.torture.guards import attack


def test_an_experiment_that_cannot_begin_has_not_found_nothing(tmp_path: Path) -> None:
    """Its code says so, and what it printed is told."""
    ended = attack(tmp_path, "no-such-experiment", 0.01)
    assert not ended.found
    assert "it ended with code 2" in ended.error
    assert "there is no experiment no-such-experiment" in ended.error
