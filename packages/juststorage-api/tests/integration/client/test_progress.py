"""Bars of the commands that move bytes: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

import json
import os
import pty
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

SIZE = 3 * 2**20 + 5
"""Its last piece is less than a step of the bar, which must be drawn all the same."""

WORDS = {
    "put": ("objects", "put", "tree/large", "docs/bars/put"),
    "get": ("objects", "get", "docs/bars/tree/large", "got"),
    "import": ("import", "tree", "docs/bars/imported/"),
    "export": ("export", "whole/bars", "out"),
    "export of a part": ("export", "docs/bars/tree/", "out"),
}
RESULTS = {
    "put": f"/put: {SIZE} bytes, sha256:",
    "get": f"got: {SIZE} bytes, sha256:",
    "import": "21 stored",
    "export": "21 written",
    "export of a part": "21 written",
}


@pytest.fixture
def words(run: Any, tmp_path: Path) -> dict[str, list[str]]:
    """The commands, of a tenant that nobody else has; a large file and small ones are in place."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/large").write_bytes(os.urandom(SIZE))
    for number in range(20):
        (tmp_path / f"tree/{number}").write_bytes(b"%d" % number)
    tenant = uuid4().hex
    for place in (f"docs/{tenant}/tree/", f"whole/{tenant}"):
        assert run("import", "tree", place).exit_code == 0
    return {
        name: [word.replace("/bars", f"/{tenant}") for word in each] for name, each in WORDS.items()
    }


@pytest.mark.parametrize("name", WORDS)
def test_a_bar_on_standard_error(words: Any, watch: Any, name: str) -> None:
    """It begins at nothing, never goes back, and ends at all; the result is on standard output."""
    watched = watch(*words[name])
    assert watched.returncode == 0, watched.shown
    assert watched.percentages[0] == 0
    assert watched.percentages[-1] == 100
    assert watched.percentages == sorted(watched.percentages)
    assert len(set(watched.percentages)) > 3
    assert "MiB/s" in watched.shown
    (line,) = watched.stdout.splitlines()
    assert RESULTS[name] in line


@pytest.mark.parametrize("name", WORDS)
def test_no_bar_with_json(words: Any, watch: Any, name: str) -> None:
    """What a program reads has nothing beside it, whoever watches."""
    watched = watch(*words[name], "--json")
    assert (watched.returncode, watched.shown) == (0, "")
    is_one = words[name][0] == "objects"
    for text in [watched.stdout] if is_one else watched.stdout.splitlines():
        assert json.loads(text)


@pytest.mark.parametrize("name", WORDS)
def test_no_bar_without_a_terminal(words: Any, start: Any, name: str) -> None:
    """A log gets no bars, also where standard output is a terminal."""
    leader, follower = pty.openpty()
    try:
        done = start(*words[name], capture_output=False, stdout=follower, stderr=-1)
    finally:
        os.close(follower)
        os.close(leader)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bar_goes_back_with_a_put_that_begins_anew(words: Any, watch: Any, network: Any) -> None:
    """It tells what this attempt has sent, and ends at all of it, once."""
    way = network([600])  # carries the answer to HEAD, and cuts that to PUT
    watched = watch(*words["put"], "--url", way.url)
    assert watched.returncode == 0, watched.shown
    assert way.connections == 2
    assert watched.percentages.count(0) >= 2
    assert watched.percentages[-1] == 100
    assert watched.percentages != sorted(watched.percentages)


def test_a_bar_goes_on_where_a_get_goes_on(
    words: Any, watch: Any, network: Any, tmp_path: Path
) -> None:
    """Cut in the middle it stays where it is; what was there of an earlier try counts."""
    way = network([2 * 10**6])
    watched = watch(*words["get"], "--url", way.url)
    assert watched.returncode == 0, watched.shown
    assert watched.percentages == sorted(watched.percentages)
    assert watched.percentages[-1] == 100


def test_nothing_ahead(words: Any, watch: Any, tmp_path: Path) -> None:
    """Of no bytes there is no bar."""
    shutil.rmtree(tmp_path / "tree")
    (tmp_path / "tree").mkdir()
    watched = watch("import", "tree", "docs/nobody")
    assert (watched.returncode, watched.shown) == (0, "")
    assert watched.stdout == "nothing to do\n"


def test_a_failure_ends_the_bar(words: Any, watch: Any, network: Any) -> None:
    """The sentence begins a line of its own, below a bar that did not reach its end."""
    way = network([10**6, *[0] * 50])
    watched = watch(*words["get"], "--url", way.url, "--patience", "0")
    assert watched.returncode == 4
    assert 0 < watched.percentages[-1] < 100
    assert "\njuststorage: " in watched.shown
