"""`juststorage migrate` on a real SQLite file, and on a store that has no schema."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage

_MAIN = "from juststorage.cli import main; main()"


def run(data_dir: Path, *words: str) -> Result:
    """A command line on the embedded default in this directory."""
    return CliRunner().invoke(juststorage, ["migrate", *words, "--data-dir", str(data_dir)])


def test_up_status_and_down(tmp_path: Path) -> None:
    """Up brings the schema and says so; down takes it back; status tells, by exit code too."""
    made = run(tmp_path, "up")
    place, _, head = made.stdout.strip().partition(": none -> ")
    assert place == f"SQLite, the file {tmp_path}/metadata.sqlite3"
    assert run(tmp_path, "up").stdout == f"{place}: nothing to do, the schema is {head}\n"
    status = run(tmp_path, "status")
    assert (status.exit_code, status.stdout.partition("\n")[0]) == (0, f"store: {place}")
    assert run(tmp_path, "down", "base", "--yes").stdout == f"{place}: {head} -> none\n"
    after = run(tmp_path, "status", "--json")
    assert (after.exit_code, json.loads(after.stdout)["head"]) == (1, head)
    assert json.loads(after.stdout)["pending"]


def test_changes_as_json(tmp_path: Path) -> None:
    """From where to where, and what `status` says of it; always the same members."""
    up = json.loads(run(tmp_path, "up", "--json").stdout)
    head, store = up["head"], f"SQLite, the file {tmp_path}/metadata.sqlite3"
    at_head = {"store": store, "current": head, "head": head, "pending": []}
    assert up == {"before": None, **at_head}
    again = json.loads(run(tmp_path, "up", "--json").stdout)
    assert again == {"before": head, **at_head}
    assert json.loads(run(tmp_path, "status", "--json").stdout).keys() == up.keys() - {"before"}
    down = json.loads(run(tmp_path, "down", "base", "--yes", "--json").stdout)
    assert (down["before"], down["current"], down["head"]) == (head, None, head)
    assert down["pending"][-1].startswith(head)


def test_statements_as_json(tmp_path: Path) -> None:
    """One string, the same as without."""
    told = json.loads(run(tmp_path / "data", "sql", "--json").stdout)
    assert told.keys() == {"sql"}
    assert told["sql"] == run(tmp_path / "data", "sql").stdout.removesuffix("\n")
    assert "CREATE TABLE objects" in told["sql"]


def refusal(stderr: str) -> str:
    """The one line that is not of the log."""
    [line] = [each for each in stderr.splitlines() if not each.startswith('{"timestamp":')]
    return line


def test_refusals_as_json(tmp_path: Path) -> None:
    """A document each, and nothing is changed."""
    run(tmp_path, "up")
    for words in (("down", "base"), ("down", "nonsense", "--yes")):
        result = run(tmp_path, *words, "--json")
        assert (result.exit_code, result.stdout.count("\n")) == (2, 1)
        error = json.loads(result.stdout)["error"]
        assert error["code"] == "misconfigured"
        assert refusal(result.stderr) == f"juststorage: {error['detail']}"
    assert run(tmp_path, "status").exit_code == 0


def test_up_makes_the_data_directory(tmp_path: Path) -> None:
    """Without a configuration there is nothing to prepare: `up` works where `serve` would."""
    data = tmp_path / "a" / "data"
    assert run(data, "up").exit_code == 0
    assert [path.name for path in data.iterdir()] == ["metadata.sqlite3"]
    assert run(data, "status").exit_code == 0


def test_losing_everything_takes_a_yes(tmp_path: Path) -> None:
    """Without --yes nothing is taken back: one line says what would be lost, exit code 2."""
    run(tmp_path, "up")
    result = run(tmp_path, "down", "base")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("juststorage: this drops every table: all objects,")
    assert "--yes" in result.stderr
    assert result.stderr.count("\n") == 1
    assert run(tmp_path, "status").exit_code == 0


def test_going_back_to_an_older_schema_takes_a_yes(tmp_path: Path) -> None:
    """What the older schema has no place for is lost too; going nowhere needs no word."""
    run(tmp_path, "up")
    head = json.loads(run(tmp_path, "status", "--json").stdout)["head"]
    result = run(tmp_path, "down", "an-older-one")
    assert result.exit_code == 2
    assert f"from {head} to an-older-one may lose" in result.stderr
    same = run(tmp_path, "down", head)
    assert same.stdout.endswith(f": nothing to do, the schema is {head}\n")


def test_sql_prints_statements_and_runs_none(tmp_path: Path) -> None:
    """The statements are printed, also where there is no store yet; nothing is made."""
    printed = run(tmp_path / "data", "sql")
    assert "CREATE TABLE objects" in printed.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_a_schema_says_so(tmp_path: Path) -> None:
    """Memory has nothing to migrate: one line, exit code 2."""
    config = tmp_path / "memory.toml"
    config.write_text('metadata.backend = "memory"\nblobs.hot.backend = "memory"\n')
    result = CliRunner().invoke(juststorage, ["migrate", "up", "--config", str(config)])
    assert result.exit_code == 2
    assert result.stderr == "juststorage: the metadata store 'memory' has no schema to migrate\n"


def test_an_unknown_revision_changes_nothing(tmp_path: Path) -> None:
    """A revision that does not exist is refused in one line."""
    run(tmp_path, "up")
    result = run(tmp_path, "down", "nonsense", "--yes")
    assert result.exit_code in {1, 2}
    assert refusal(result.stderr).startswith("juststorage: ")
    assert run(tmp_path, "status").exit_code == 0


@pytest.mark.parametrize("named_by", ["option", "variable"])
@pytest.mark.parametrize(
    "words", [["doctor"], ["config", "check", "--open"], ["fsck"], ["serve", "--port", "0"]]
)
def test_the_command_that_is_told_is_the_right_one(
    tmp_path: Path, words: list[str], named_by: str
) -> None:
    """With the options as they were given: to run exactly that changes the store that was meant."""
    root = tmp_path / "volume of blobs"
    root.mkdir()
    file = root / "juststorage.toml"
    file.write_text(
        f'metadata.backend = "sqlite"\nmetadata.sqlite.auto_migrate = false\n'
        f'blobs.hot.backend = "localfs"\nblobs.hot.localfs.root = "{root}"\n'
    )
    (root / "metadata.sqlite3").touch()
    variables = {"JUSTSTORAGE_CONFIG": str(file)} if named_by == "variable" else {}
    options = [] if named_by == "variable" else ["--config", str(file)]
    # A process of its own: `serve` blocks signals and forks, and means to end with its process.
    result = subprocess.run(
        [sys.executable, "-c", _MAIN, *words, *options, "--data-dir", str(root)],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in {1, 2}
    [told] = re.findall(r"juststorage migrate up --config [^`\n]*", result.stdout + result.stderr)
    assert told == f"juststorage migrate up --config '{file}' --data-dir '{root}'"
    up = CliRunner().invoke(juststorage, shlex.split(told)[1:])
    assert (up.exit_code, up.stdout.partition(": ")[0]) == (
        0,
        f"SQLite, the file {root}/metadata.sqlite3",
    )
    assert [path.name for path in tmp_path.iterdir()] == [root.name]
