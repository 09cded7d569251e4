"""A pass of `freeze` in which nobody was taken for dead is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.experiment import Run
from tests.torture.freeze import check_reaped
from tests.torture.journal import Broken


def test_a_whole_pass_reaps_somebody_on_each_store(tmp_path: Path) -> None:
    """On the other one does not count for it."""
    run = Run(tmp_path, 1, 0, is_complete=True)
    with pytest.raises(Broken, match="reaped on sqlite"):
        check_reaped(run, "sqlite")
    run.counts["reaped while frozen, and told 409, on sqlite"] = 1
    check_reaped(run, "sqlite")
    with pytest.raises(Broken, match="reaped on postgres"):
        check_reaped(run, "postgres")


def test_what_is_no_whole_pass_may_reap_nobody(tmp_path: Path) -> None:
    """Its few points may be none at which that happens."""
    stopped = Run(tmp_path, 1, 0, is_complete=True)
    stopped.stop()
    for run in (stopped, Run(tmp_path, 1, 0, only="Delete at"), Run(tmp_path, 1, 60)):
        check_reaped(run, "sqlite")
