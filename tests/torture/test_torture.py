"""Every experiment, short: long enough to break what is broken often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.__main__ import EXPERIMENTS, find
from tests.torture.experiment import Run

SECONDS = {
    "crash": 24,
    "kill": 14,
    "interleave": 20,
    "disk": 22,
    "power": 16,
    "freeze": 18,
    "database": 20,
    "model": 14,
    "hostile": 12,
    "bucket": 16,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_short_experiment_breaks_no_promise(tmp_path: Path, name: str) -> None:
    """Whatever is done to the service, acknowledged means for ever, and nothing is left over."""
    seed = 1
    print(f"repeat with: scripts/torture --seed {seed} --minutes {SECONDS[name] / 60:g} {name}")
    assert find(name)(Run(tmp_path, seed, SECONDS[name]))
