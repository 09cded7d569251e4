"""The release note: the fragments of a package, as a section of its changelog, and the figures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from . import figures
from .projects import Project

__all__ = ["add"]

REPORTS = Path("docs/releases")


def add(root: Path, project: Project, version: Version, report: Path, *, time_s: int) -> None:
    """Turn the fragments into a section of the changelog, and keep the report beside it.

    Args:
        root: Of the checkout that is changed.
        project: The package, in that checkout.
        version: Of the release.
        report: Figures that `figures.refusal` let through.
        time_s: When, in seconds since 1970.
    """
    before = _report_before(root, project)
    kept = root / REPORTS / f"{project.tag(version)}.json"
    kept.parent.mkdir(exist_ok=True)
    shutil.copyfile(report, kept)
    date = datetime.fromtimestamp(time_s, UTC).date().isoformat()
    subprocess.run(
        [
            *(sys.executable, "-m", "towncrier", "build", "--yes", "--dir", project.folder),
            *("--version", str(version), "--date", date),
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    link = Path(*[".."] * len(project.folder.relative_to(root).parts), REPORTS, kept.name)
    part = figures.note(json.loads(kept.read_text()), before, link.as_posix())
    changelog = project.folder / "CHANGELOG.md"
    changelog.write_text(_with_part(changelog.read_text(), version, part))


def _report_before(root: Path, project: Project) -> dict[str, Any] | None:
    kept = root / REPORTS / f"{project.tag(project.version)}.json"
    return json.loads(kept.read_text()) if kept.exists() else None


def _with_part(changelog: str, version: Version, part: str) -> str:
    """Put `part` at the end of the section of this version."""
    head, title, rest = changelog.partition(f"## {version} (")
    assert title, f"towncrier wrote no section {version}"
    end = re.search(r"^## ", rest, re.MULTILINE)
    at = end.start() if end else len(rest)
    section = f"{rest[:at].rstrip()}\n\n{part}\n"
    return head + title + section + (f"\n{rest[at:]}" if end else "")
