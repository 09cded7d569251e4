"""Commands that look at a store, or tend it, where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage

COMMANDS = [
    ["config", "check", "--open"],
    ["config", "check", "--open", "--json"],
    ["fsck"],
    ["fsck", "--deep", "--repair"],
    ["gc", "run"],
    ["gc", "run", "--dry-run"],
    ["gc", "status"],
    ["gc", "worker"],
    ["migrate", "status"],
    ["migrate", "status", "--json"],
    ["migrate", "down", "base", "--yes"],
]


def invoke(words: list[str], data_dir: Path) -> Result:
    """A command line on the embedded default in this directory."""
    return CliRunner().invoke(juststorage, [*words, "--data-dir", str(data_dir)])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("exists", [False, True], ids=["missing", "empty"])
def test_there_is_no_store(tmp_path: Path, words: list[str], exists: bool) -> None:
    """One line with the place and the command that makes one, exit code 2, and nothing is made."""
    data = tmp_path / "data"
    if exists:
        data.mkdir()
    result = invoke(words, data)
    told = f"there is no store in {data}; make one with: juststorage serve --data-dir {data}"
    # What a service has to say is a line of its log.
    said = json.loads(result.stderr)["message"] if "worker" in words else result.stderr
    assert (result.exit_code, said.removeprefix("juststorage: ").rstrip("\n")) == (2, told)
    if "--json" in words:
        assert json.loads(result.stdout)["error"]["detail"] == told
    else:
        assert result.stdout == ""
    assert [path.name for path in tmp_path.rglob("*")] == (["data"] if exists else [])


@pytest.mark.parametrize(
    "words", [["fsck"], ["gc", "run"], ["gc", "status"], ["migrate", "down", "base", "--yes"]]
)
def test_a_directory_of_other_things(tmp_path: Path, words: list[str]) -> None:
    """A directory that holds something else is no store, and does not become one."""
    (tmp_path / "letters").mkdir()
    result = invoke(words, tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no store in {tmp_path}" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["letters"]


def test_a_configured_database_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path in a configuration file is told as well, and no empty database is made there."""
    file = tmp_path / "juststorage.toml"
    file.write_text(
        f'metadata.backend = "sqlite"\nmetadata.sqlite.path = "{tmp_path}/other.sqlite3"\n'
        f'blobs.hot.backend = "localfs"\nblobs.hot.localfs.root = "{tmp_path}"\n'
    )
    result = CliRunner().invoke(juststorage, ["gc", "run", "--config", str(file)])
    assert result.exit_code == 2
    assert f"there is no store in {tmp_path}/other.sqlite3" in result.stderr
    assert "juststorage migrate up" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_store_that_is_there_is_looked_at(tmp_path: Path) -> None:
    """An empty store is a store."""
    data = tmp_path / "data"
    assert invoke(["migrate", "up"], data).exit_code == 0
    for words in (["fsck"], ["gc", "run"], ["gc", "status"], ["migrate", "status"]):
        assert invoke(words, data).exit_code == 0
