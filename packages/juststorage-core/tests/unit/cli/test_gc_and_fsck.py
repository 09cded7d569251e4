"""`juststorage gc` and `juststorage fsck` on a real configuration, in memory."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from juststorage.cli._fsck import _counted, _lines
from juststorage.cli._gc import _print
from juststorage.cli._main import juststorage
from juststorage.usecases import CollectionReport, Finding
from juststorage.usecases._finding import Affected


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


def test_a_dry_run_adopts_nothing(config: str) -> None:
    """The two do not go together, and nobody is left to think that they do."""
    words = ["gc", "run", "--dry-run", "--adopt-unknown", "--config", config]
    result = CliRunner().invoke(juststorage, words)
    assert result.exit_code == 2
    assert "no use for --adopt-unknown" in result.stderr


def test_what_was_left_alone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With the question that it raises."""
    report = CollectionReport(dry_run=False, started_at=datetime.now(UTC), unknown=410)
    _print(report, as_json=False)
    assert "left alone: 410 blobs that the database does not know" in capsys.readouterr().out


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


@pytest.mark.parametrize("level", ["warning", "error"])
def test_the_log_of_fsck_has_the_form_of_a_server_s(config: str, site: Any, level: str) -> None:
    """A warning is a line of JSON, unless `log.level` leaves it out."""
    site.add("acme-bad", {"bad": "raise RuntimeError('no driver')"})
    importlib.invalidate_caches()
    file = Path(config)
    file.write_text(f'{file.read_text()}log.level = "{level}"\n')
    result = CliRunner().invoke(juststorage, ["fsck", "--config", config])
    assert (result.exit_code, result.stdout) == (0, "clean\n")
    lines = [json.loads(each) for each in result.stderr.splitlines()]
    assert [each["level"] for each in lines] == (["WARN"] if level == "warning" else [])
    assert all("no driver" in each["message"] for each in lines)


def test_a_result_that_no_metric_will_show_says_so(config: str, tmp_path: Path) -> None:
    """Where the service's own directory is not there, as on another machine."""
    command = ["fsck", "--config", config, "--data-dir"]
    result = CliRunner().invoke(juststorage, [*command, str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (0, "clean\n")
    assert "no metric will show this result" in result.stderr
    result = CliRunner().invoke(juststorage, [*command, str(tmp_path)])
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_finding_names_who_suffers_and_counts_the_rest() -> None:
    """Ten objects are named, with tenant, namespace and key; the others are a number."""
    named = [
        Affected(id=f"id-{number}", tenant_id="t", namespace="n", key=None if number else "a b")
        for number in range(10)
    ]
    lost = Finding(
        invariant="I2",
        subject="hot/sha256:00",
        detail="its bytes are missing",
        affected=named,
        affected_count=13,
    )
    lines = list(_lines(lost))
    assert lines[0] == "I2 hot/sha256:00: its bytes are missing"
    assert lines[1] == "  object id-0: tenant t, namespace n, key 'a b'"
    assert lines[2] == "  object id-1: tenant t, namespace n"
    assert lines[-1] == "  and 3 more" and len(lines) == 12
    mended = Finding(invariant="I4", subject="ab/cd/abcd", detail="it is placed", repaired=True)
    assert list(_lines(mended)) == ["I4 ab/cd/abcd: it is placed (repaired)"]


@pytest.mark.parametrize(
    ("found", "said"), [(0, "clean"), (1, "1 finding"), (2, "2 findings"), (11, "11 findings")]
)
def test_findings_are_counted_in_english(found: int, said: str) -> None:
    """One is one."""
    assert _counted(found) == said


@pytest.mark.parametrize("command", [["gc", "run"], ["gc", "status"], ["fsck"]])
def test_a_wrong_configuration_exits_2(command: list[str], tmp_path: Path) -> None:
    """One line on standard error, no traceback, exit code 2."""
    missing = str(tmp_path / "missing.toml")
    result = CliRunner().invoke(juststorage, [*command, "--config", missing])
    assert result.exit_code == 2
    assert result.stderr.startswith("juststorage: ")
    assert result.stderr.count("\n") == 1
