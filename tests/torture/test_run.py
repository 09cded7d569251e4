"""Steps: which are done, which are behind a pass, and how one that broke is done again alone."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.torture.done import Done, OtherSource, source
from tests.torture.experiment import Run
from tests.torture.journal import Broken

ROOT = Path(__file__).parents[2]


def a_pass(folder: Path, *, of: str = "a source") -> Run:
    """A complete pass that goes on from the file in the folder."""
    return Run(folder, 1, 0, is_complete=True, done=Done(folder / "done", "some", of))


def test_a_complete_pass_goes_on(tmp_path: Path) -> None:
    """Each once and in order; what was interrupted, and what broke, is done again."""
    done: list[int] = []

    def some(*, stop_at: int = 99, break_at: int = 99) -> Run:
        run = a_pass(tmp_path)
        for number in run.each(range(6), str):
            if number == break_at:
                raise Broken
            run.counts["tried"] += 1
            if number == stop_at:
                run.stop()
            else:
                done.append(number)
        return run

    some(stop_at=2)
    with pytest.raises(Broken):
        some(break_at=4)
    assert done == [0, 1, 2, 3]
    some()
    assert done == [0, 1, 2, 3, 4, 5]
    assert some().counts == {"tried": 6}, "what all its runs counted, and nothing twice"
    assert done == [0, 1, 2, 3, 4, 5]


def test_a_run_takes_one_step_however_little_time_it_has(tmp_path: Path) -> None:
    """On a machine so busy that finding out what there is took all of it."""
    assert len(list(Run(tmp_path, 1, 0).each(range(6), str))) == 1
    assert len(list(Run(tmp_path, 1, 0).in_turns({"a": lambda: ["a1", "a2"]}, str))) == 1
    stopped = Run(tmp_path, 1, 0)
    stopped.stop()
    assert list(stopped.each(range(6), str)) == []


def test_what_it_takes_to_begin_is_nobodys_share(tmp_path: Path) -> None:
    """The clock of a run stands still meanwhile."""
    run = Run(tmp_path, 1, 60)
    with run.not_counted():
        time.sleep(0.1)
        before = run.left_s
    assert run.left_s - before > 0.09, "given back"
    run.stop()
    with run.not_counted():
        pass
    assert run.is_stopped


def test_a_pass_does_not_go_on_with_another_source(tmp_path: Path) -> None:
    """What was clean before a change says nothing of what comes after it."""
    list(a_pass(tmp_path).each(range(2), str))
    with pytest.raises(OtherSource, match="is of a source, and this is another one"):
        a_pass(tmp_path, of="another one")
    (tmp_path / "done").write_text("Upload at 1 on sqlite\n")
    with pytest.raises(OtherSource, match="no known source"):
        a_pass(tmp_path)


def test_experiments_share_a_file(tmp_path: Path) -> None:
    """What one of them has behind it, the other one does not."""
    list(a_pass(tmp_path).each(range(2), str))
    other = Run(tmp_path, 1, 0, is_complete=True, done=Done(tmp_path / "done", "other", "a source"))
    assert list(other.each(range(2), str)) == [0, 1]
    assert list(a_pass(tmp_path).each(range(3), str)) == [2]


def test_the_source_is_told_by_its_commit() -> None:
    """And changes that are in no commit are another source."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert source().split()[0] == commit.stdout.strip()


def test_a_module_that_is_in_no_commit_is_of_the_source_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is in it."""
    for words in (
        ("init", "--quiet"),
        ("-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--allow-empty", "-mA"),
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr("tests.torture.done._ROOT", tmp_path)
    found = [source()]
    module = tmp_path / "tests" / "new.py"
    module.parent.mkdir()
    for text in ("one", "another"):
        module.write_text(text)
        found.append(source())
    assert len(set(found)) == 3
    assert "changes" not in found[0]


def test_a_step_chooses_the_same_when_it_is_done_alone(tmp_path: Path) -> None:
    """Its choices follow from the seed and its name, and not from what came before it."""

    def chosen(run: Run) -> dict[str, float]:
        todo = {"a": lambda: ["a1", "a2"], "b": lambda: ["b1", "b2"]}
        return {this: run.chance.random() for this in run.in_turns(todo, str)}

    every = chosen(Run(tmp_path, 7, 60))
    assert len(set(every.values())) == 4
    assert chosen(Run(tmp_path, 7, 60, only="b2")) == {"b2": every["b2"]}
    assert chosen(Run(tmp_path, 7, 60, is_complete=True)) == every
    assert chosen(Run(tmp_path, 8, 60)) != every


def test_acts_of_which_nothing_is_wanted_are_not_looked_into(tmp_path: Path) -> None:
    """To learn the points of all acts takes longer than one point of one of them."""

    def unwanted() -> list[str]:
        raise AssertionError("its points are of no interest")

    run = Run(tmp_path, 7, 60, only="Upload at fsync (1) on sqlite")
    todo = {
        "Delete": unwanted,
        "Upload": lambda: [f"Upload at fsync ({n}) on sqlite" for n in (1, 2)],
    }
    assert list(run.in_turns(todo, str)) == ["Upload at fsync (1) on sqlite"]


def test_turns_take_of_each(tmp_path: Path) -> None:
    """A run that ends early has seen something of every act."""
    run = Run(tmp_path, 7, 60)
    todo = {each: lambda each=each: [f"{each}{n}" for n in range(5)] for each in "abc"}
    some = [this for this, _ in zip(run.in_turns(todo, str), range(3), strict=False)]
    assert {this[0] for this in some} == {"a", "b", "c"}
    assert len(list(Run(tmp_path, 7, 60).in_turns(todo, str))) == 15


def test_a_failure_tells_how_its_step_is_repeated(tmp_path: Path) -> None:
    """Alone, on its store, with its seed; what is under no step is repeated as it was run."""
    run = Run(tmp_path, 7, 90)
    assert run.again("crash") == "scripts/torture --seed 7 --minutes 1.5 crash"
    for _ in run.each(["it's here"], str):
        run.on = "sqlite"
        again = run.again("crash")
        assert again == ("""scripts/torture --seed 7 --store sqlite --only 'it'"'"'s here' crash""")
    assert run.again("crash") == "scripts/torture --seed 7 --minutes 1.5 crash"
    run = Run(tmp_path, 7, 0, stores=("postgres",), is_complete=True)
    assert run.again("freeze") == "scripts/torture --seed 7 --store postgres --all freeze"


_PLANTED = """
import sys
from tests.torture import __main__, experiment
from tests.torture.journal import Broken

def run(run):
    for number in run.each(range(100), lambda n: f"step {n}:"):
        if run.chance.random() < 0.05:  # as good as any bug: it is there for some choices only
            raise Broken(f"broken by {run.chance.random()}")
    return run.counts

__main__.find = lambda name: run
sys.argv[0] = "scripts/torture"
__main__.main()
"""


def _torture(*words: str) -> str:
    command = [sys.executable, "-c", _PLANTED, *words, "crash"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout
    return ended.stderr


def test_what_a_failure_prints_repeats_it() -> None:
    """The command runs the step that broke, which breaks again in the same way, and no other."""
    told = _torture("--seed", str(random.randrange(10**6)), "--minutes", "1").splitlines()
    command = told[-1].removeprefix("repeat with: scripts/torture ").removesuffix(" crash")
    words, _, only = command.partition(" --only ")
    again = _torture(*words.split(), "--only", only.strip("'")).splitlines()
    assert again == told


def test_a_name_that_no_step_has_is_told() -> None:
    """Nothing was run, which must not look like nothing was broken."""
    assert "no step of crash has a name that begins with: stop" in _torture("--only", "stop")
