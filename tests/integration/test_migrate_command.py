"""`juststorage migrate` on a real SQLite file, and on a store that has no schema."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage


def run(data_dir: Path, *words: str) -> Result:
    """A command line on the embedded default in this directory."""
    return CliRunner().invoke(juststorage, ["migrate", *words, "--data-dir", str(data_dir)])


def test_up_status_and_down(tmp_path: Path) -> None:
    """Up brings the schema and says so; down takes it back; status tells, by exit code too."""
    before = run(tmp_path, "status", "--json")
    assert before.exit_code == 1
    head = json.loads(before.stdout)["head"]
    assert json.loads(before.stdout)["pending"]
    assert run(tmp_path, "up").stdout == f"none -> {head}\n"
    assert run(tmp_path, "up").stdout == f"nothing to do: the schema is {head}\n"
    assert run(tmp_path, "status").exit_code == 0
    assert run(tmp_path, "down", "base").stdout == f"{head} -> none\n"
    assert run(tmp_path, "status").exit_code == 1


def test_sql_prints_statements_and_runs_none(tmp_path: Path) -> None:
    """The statements are printed; the database stays as it was."""
    printed = run(tmp_path, "sql")
    assert "CREATE TABLE objects" in printed.stdout
    assert run(tmp_path, "status").exit_code == 1


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
    result = run(tmp_path, "down", "nonsense")
    assert result.exit_code in {1, 2}
    assert result.stderr.count("\n") == 1
    assert run(tmp_path, "status").exit_code == 0
