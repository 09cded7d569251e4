"""Whether an experiment notices that nothing of what it armed has happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.acts import Upload
from tests.torture.aims import TRIES, Aim, Hits
from tests.torture.experiment import Run
from tests.torture.journal import Broken
from tests.torture.points import Point


def after(run: Run, *, steps: int, missed: int, done: int | None = None) -> Hits:
    """Of an act with so many steps the last ones missed, or were not taken."""
    hits = Hits(run, "sqlite", "killed and clean")
    hits.expect("Upload", steps)
    for number in range(steps if done is None else done):
        hits.note("Upload", is_hit=number < steps - missed)
    return hits


def a_pass(folder: Path) -> Run:
    """A complete one."""
    return Run(folder, 1, 0, is_complete=True)


@pytest.mark.parametrize(("steps", "missed"), [(1, 1), (3, 3), (9, 4), (20, 6), (20, 20)])
def test_a_whole_pass_that_missed_too_much_is_none(tmp_path: Path, steps: int, missed: int) -> None:
    """Of any act: the others' hits do not make up for it."""
    run = a_pass(tmp_path)
    run.counts["killed and clean on sqlite"] = 1000
    with pytest.raises(Broken, match=f"{missed} of {steps} steps not reached in Upload on sqlite"):
        after(run, steps=steps, missed=missed).check()


@pytest.mark.parametrize(("steps", "missed"), [(0, 0), (2, 1), (9, 3), (20, 5)])
def test_some_points_may_be_missed(tmp_path: Path, steps: int, missed: int) -> None:
    """Others are there where a directory is made, and one too many is soon armed."""
    run = a_pass(tmp_path)
    after(run, steps=steps, missed=missed).check()
    assert run.counts["not reached on sqlite"] == missed


def test_a_whole_pass_without_a_hit_is_none(tmp_path: Path) -> None:
    """However few there are to be missed, and on each store for itself."""
    run = a_pass(tmp_path)
    run.counts["killed and clean on postgres"] = 1000
    with pytest.raises(Broken, match="0 killed and clean on sqlite"):
        after(run, steps=1, missed=1).check()


def test_a_pass_counts_what_its_earlier_runs_missed(tmp_path: Path) -> None:
    """It goes on from what they did, which is in the counts."""
    run = a_pass(tmp_path)
    run.counts.update({"killed and clean on sqlite": 14, "not reached in Upload on sqlite": 6})
    with pytest.raises(Broken, match="6 of 20 steps"):
        after(run, steps=20, missed=0, done=0).check()


def test_what_is_no_whole_pass_may_miss_more(tmp_path: Path) -> None:
    """It takes some steps of an act: whether they are too many nobody knows."""
    stopped = a_pass(tmp_path)
    stopped.stop()
    for run in (Run(tmp_path, 1, 60), Run(tmp_path, 1, 0, only="Upload at"), stopped):
        after(run, steps=20, missed=15).check()
        assert run.counts["not reached in Upload on sqlite"] == 15


def test_no_run_misses_everything(tmp_path: Path) -> None:
    """By chance it may miss the first steps, and not all of many."""
    after(Run(tmp_path, 1, 60), steps=20, missed=20, done=5).check()
    with pytest.raises(Broken, match="0 killed and clean on sqlite, and 6 not reached"):
        after(Run(tmp_path, 1, 60), steps=20, missed=20, done=6).check()


def tried(run: Run, outcomes: list[bool]) -> int:
    """How often a point is tried that is hit as these say."""
    before = len(outcomes)
    hits = Hits(run, "sqlite", "killed and clean")
    hits.expect("Upload", 1)
    hits.aim(Aim(Upload, Point("write * bytes", 1), "sqlite"), lambda: outcomes.pop(0))
    return before - len(outcomes)


def test_a_complete_pass_tries_a_point_again_that_it_missed(tmp_path: Path) -> None:
    """Until it is a hit; what never is has a name in what the pass tells."""
    run = a_pass(tmp_path)
    assert tried(run, [False, True, True]) == 2
    assert run.counts == {"killed and clean on sqlite": 1}
    never = a_pass(tmp_path)
    assert tried(never, [False] * (TRIES + 1)) == TRIES
    assert never.counts["not reached on sqlite"] == 1
    named = f"not reached in {TRIES} tries: Upload at write * bytes (1) on sqlite"
    assert never.counts[named] == 1


def test_a_short_run_goes_on_to_another_point(tmp_path: Path) -> None:
    """It has no time to try again."""
    run = Run(tmp_path, 1, 60)
    assert tried(run, [False, True]) == 1
    assert run.counts["not reached in Upload on sqlite"] == 1
