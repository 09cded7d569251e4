"""What the three hottest paths cost, for the release note, from a report of `benchmarks/run`.

A report counts when it was measured of the code that is released, at least three times, without an
error. It is kept beside the note, so that `benchmarks/compare` can tell two releases apart.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["HOTTEST", "SECTION", "note", "refusal"]

HOTTEST = ("GET 4 KiB", "PUT 4 KiB, stored", "PUT 4 KiB, new")
SECTION = "1 worker"
_RUNS_MIN = 3


def refusal(report: Path | None, root: Path) -> str | None:
    """Why this report cannot stand in a release note; None where it can."""
    if report is None:
        return "figures are missing: give --figures a report of `benchmarks/run --json FILE`"
    try:
        found = json.loads(report.read_text())
        rows, revision = _costs(found), str(found["machine"]["revision"])
        runs = {name: len(row["figures"]) for name, row in rows.items()}
        void = any("VOID" in row["note"] for each in found["sections"].values() for row in each)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{report}: not a report of `benchmarks/run --json` ({error!r})"
    if void:
        return f"{report}: a request failed in what was measured: it is void"
    for name in HOTTEST:
        if runs.get(name, 0) < _RUNS_MIN:
            return f"{report}: {name}, {SECTION}: {runs.get(name, 0)} runs, {_RUNS_MIN} at least"
    if revision.endswith("-dirty"):
        return f"{report}: measured with changes that are in no commit ({revision})"
    other = _other_code(root, revision)
    return f"{report}: measured at {revision}, {other}" if other else None


def note(report: dict[str, Any], before: dict[str, Any] | None, link: str) -> str:
    """The part of the release note.

    Args:
        report: The figures of what is released.
        before: Those of the release before it, where there is one.
        link: Where the whole report is, from the note.
    """
    return "\n".join(_lines(report, before, link))


def _lines(report: dict[str, Any], before: dict[str, Any] | None, link: str) -> Iterator[str]:
    machine = report["machine"]
    old = _costs(before) if before is not None and _like(before["machine"], machine) else {}
    yield "### Figures\n"
    yield "Processor seconds for 1,000 requests, service and PostgreSQL together, one worker:\n"
    yield "| request | median | spread | against the release before |"
    yield "|---|---|---|---|"
    for name in HOTTEST:
        row = _costs(report)[name]
        told = f"x {row['median'] / old[name]['median']:.2f}" if name in old else "no like figure"
        spread = f"{min(row['figures']):.3f} .. {max(row['figures']):.3f}"
        yield f"| {name} | {row['median']:.3f} s | {spread} | {told} |"
    yield (
        f"\nMeasured at {machine['revision']} on {machine['cores']} cores ({machine['processor']});"
        f" [the whole report]({link})."
    )


def _like(before: dict[str, str], now: dict[str, str]) -> bool:
    """Seconds of another processor, or of another build of Python, say nothing about the code."""
    return all(before[what] == now[what] for what in ("processor", "python"))


def _costs(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = {row["name"]: row for row in report["sections"].get(SECTION, [])}
    return {name: rows[told] for name in HOTTEST if (told := f"{name}, CPU for 1,000") in rows}


def _other_code(root: Path, revision: str) -> str | None:
    """How the code of `revision` differs from what is checked out, libraries included.

    Versions of our own packages do not count.
    """
    code = (":(glob)packages/*/src/**", "requirements/lock.txt")
    done = subprocess.run(
        ["git", "diff", "-I^__version__ = ", revision, "HEAD", "--", *code],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return "which is no commit here"
    files = [line.split(" b/")[-1] for line in done.stdout.splitlines() if line[:5] == "diff "]
    return f"and {len(files)} files changed since, such as {files[0]}" if files else None
