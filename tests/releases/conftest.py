"""Wheels of every package, and a repository of this checkout's files in which to make releases."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.house_rules import tracked_files
from scripts.releasing.artifacts import build_one
from scripts.releasing.figures import HOTTEST
from scripts.releasing.projects import projects

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every package."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in projects(ROOT).values():
        build_one(project.folder, "wheel", folder, 1_700_000_000)
    return folder


def git(folder: Path, *words: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of this checkout as the one commit of a repository; the working directory too."""
    folder = tmp_path / "repository"
    monkeypatch.chdir(ROOT)
    for file in tracked_files():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file)
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "A maintainer")
    git(folder, "config", "user.email", "maintainer@example.org")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Everything")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def report(repository: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a report as `benchmarks/run --json` does, of what is checked out."""

    def write(*, cost_s: float = 0.1, runs: int = 3, note: str = "", **machine: Any) -> Path:
        rows = [
            {
                "name": f"{name}, CPU for 1,000",
                "figures": [cost_s * each for each in (1, 1.1, 0.9)][:runs],
                "median": cost_s,
                "note": note,
            }
            for name in HOTTEST
        ]
        facts = {"revision": git(repository, "rev-parse", "--short", "HEAD")}
        facts |= {"processor": "A processor", "cores": "2", "python": "3.11.0 (one)"} | machine
        file = tmp_path / "report.json"
        file.write_text(json.dumps({"machine": facts, "sections": {"1 worker": rows}}))
        return file

    return write
