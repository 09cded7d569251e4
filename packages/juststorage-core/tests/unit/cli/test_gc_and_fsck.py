"""`juststorage gc` and `juststorage fsck` on a real configuration, in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration file of memory backends."""
    file = tmp_path / "juststorage.toml"
    file.write_text(
        'metadata.backend = "memory"\nblobs.hot.backend = "memory"\nauth.chain = []\n'
        f'data_dir = "{tmp_path}"\n'
    )
    return str(file)


def test_gc_run_reports_what_it_did(config: str) -> None:
    """A run prints a report, as text or as JSON, and exits 0."""
    result = CliRunner().invoke(juststorage, ["gc", "run", "--config", config, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["dry_run"], report["removed"], report["errors"]) == (False, 0, 0)
    text = CliRunner().invoke(juststorage, ["gc", "run", "--dry-run", "--config", config])
    assert text.stdout == "would be removed: 0 blobs, 0 bytes\n"


def test_gc_status_shows_policy_and_garbage(config: str) -> None:
    """Status says what is due now and what a grace of 0 would make due."""
    result = CliRunner().invoke(juststorage, ["gc", "status", "--config", config, "--json"])
    shown = json.loads(result.stdout)
    assert (shown["policy"], shown["due"]) == ("age", {"blobs": 0, "bytes": 0})
    text = CliRunner().invoke(juststorage, ["gc", "status", "--config", config])
    assert "without references: 0 blobs, 0 bytes" in text.stdout


def test_fsck_of_a_clean_store_exits_0(config: str) -> None:
    """Nothing found is `clean` and exit code 0; with JSON it is no line at all."""
    result = CliRunner().invoke(juststorage, ["fsck", "--config", config])
    assert (result.exit_code, result.stdout) == (0, "clean\n")
    quiet = CliRunner().invoke(juststorage, ["fsck", "--json", "--config", config])
    assert (quiet.exit_code, quiet.stdout) == (0, "")


@pytest.mark.parametrize("command", [["gc", "run"], ["gc", "status"], ["fsck"]])
def test_a_wrong_configuration_exits_2(command: list[str], tmp_path: Path) -> None:
    """One line on standard error, no traceback, exit code 2."""
    missing = str(tmp_path / "missing.toml")
    result = CliRunner().invoke(juststorage, [*command, "--config", missing])
    assert result.exit_code == 2
    assert result.stderr.startswith("juststorage: ")
    assert result.stderr.count("\n") == 1
