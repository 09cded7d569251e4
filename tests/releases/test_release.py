"""`scripts/release`: what it refuses, and what is there after it went well."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.version import Version

from scripts.releasing import figures
from scripts.releasing.__main__ import release
from scripts.releasing.artifacts import metadata
from scripts.releasing.projects import Project, projects

from .conftest import git

Report = Callable[..., Path]


def command(repository: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it with the tools of this environment, and without what Python leaves by itself."""
    return subprocess.run(
        [sys.executable, "-B", "-m", "scripts.releasing", *map(str, words)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_without_figures_is_refused(repository: Path) -> None:
    """The command says which command makes them, and leaves nothing behind."""
    done = command(repository, "juststorage-localfs", "0.2.0")
    assert done.returncode == 1
    assert "benchmarks/run --json" in done.stderr
    assert git(repository, "status", "--porcelain", "--ignored") == ""


def test_figures_that_say_nothing_about_this_code_are_refused(
    repository: Path, report: Report, tmp_path: Path
) -> None:
    """Void ones, too few, those of other code or of no commit, and what is no report."""
    for arguments, why in (
        ({"note": "VOID: 3 errors"}, "void"),
        ({"runs": 1}, "1 runs, 3 at least"),
        ({"revision": "1234567-dirty"}, "in no commit"),
        ({"revision": "1234567"}, "no commit here"),
    ):
        assert why in str(figures.refusal(report(**arguments), repository))
    good = report()
    assert figures.refusal(good, repository) is None
    module = repository / "packages/juststorage-localfs/src/juststorage_localfs/__init__.py"
    module.write_text(module.read_text().replace('__version__ = "0.1.0"', '__version__ = "9"'))
    git(repository, "commit", "--quiet", "--all", "--message", "A version")
    assert figures.refusal(good, repository) is None
    module.write_text(module.read_text() + "\nMORE = 1\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Code")
    assert "1 files changed since" in str(figures.refusal(good, repository))
    module.write_text(module.read_text().replace("\nMORE = 1\n", ""))
    lock = repository / "requirements/lock.txt"
    lock.write_text(lock.read_text() + "another-server==1.0\n")
    git(repository, "commit", "--quiet", "--all", "--message", "A library")
    assert "such as requirements/lock.txt" in str(figures.refusal(good, repository))
    nothing = tmp_path / "nothing.json"
    nothing.write_text("[]")
    assert "not a report" in str(figures.refusal(nothing, repository))


def test_a_version_that_promises_too_much_is_refused(repository: Path, report: Report) -> None:
    """The fragments of the package say what the next version may be."""
    done = command(repository, "juststorage-localfs", "0.1.1", "--figures", report())
    assert done.returncode == 1
    assert "adds something" in done.stderr


@pytest.mark.timeout(300)
def test_a_rehearsal_leaves_files_and_no_trace(
    repository: Path, report: Report, tmp_path: Path
) -> None:
    """Wheel, source distribution, bill of materials and licences; the checkout is as it was."""
    before = git(repository, "rev-parse", "HEAD")
    words = ("juststorage-localfs", "0.2.0", "--figures", report(), "--to", tmp_path / "to")
    done = command(repository, *words, "--no-checks")
    assert done.returncode == 0, done.stderr
    assert "needs a release of its own: juststorage" in done.stdout
    tag = "juststorage-localfs-0.2.0"
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        f"{tag}.cdx.json",
        f"{tag}.licenses.tsv",
        "juststorage_localfs-0.2.0-py3-none-any.whl",
        "juststorage_localfs-0.2.0.tar.gz",
    ]
    bill = json.loads((tmp_path / "to" / f"{tag}.cdx.json").read_text())
    assert bill["metadata"]["component"]["version"] == "0.2.0"
    assert {"juststorage-core", "pluggy"} <= {each["name"] for each in bill["components"]}
    assert "\npluggy\tMIT\n" in (tmp_path / "to" / f"{tag}.licenses.tsv").read_text()
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "tag", "--list") == git(repository, "status", "--porcelain") == ""


@pytest.mark.timeout(300)
def test_a_release_is_a_commit_and_a_tag(repository: Path, report: Report, tmp_path: Path) -> None:
    """With the version everywhere, no fragments left, and a changelog that has the figures."""
    seen: list[str] = []

    def check(copy: Path, project: Project) -> None:
        assert copy != repository
        seen.append(str(project.version))

    release(
        repository,
        "juststorage-core",
        Version("0.2.0"),
        figures_from=report(),
        to=tmp_path / "to",
        write=True,
        check=check,
    )
    assert seen == ["0.2.0"]
    assert git(repository, "tag", "--list") == "juststorage-core-0.2.0"
    assert git(repository, "status", "--porcelain") == ""
    core = projects(repository)["juststorage-core"]
    assert core.fragments == []
    section = (core.folder / "CHANGELOG.md").read_text().split("## 0.2.0 (")[1]
    assert "| GET 4 KiB | 0.100 s | 0.090 .. 0.110 | no like figure |" in section
    assert "[the whole report](../../docs/releases/juststorage-core-0.2.0.json)" in section
    assert (repository / "docs/releases/juststorage-core-0.2.0.json").exists()
    wheel = tmp_path / "to" / "juststorage_core-0.2.0-py3-none-any.whl"
    assert message_from_bytes(metadata(wheel))["Version"] == "0.2.0"
    with zipfile.ZipFile(wheel) as packed:
        assert b'__version__ = "0.2.0"' in packed.read("juststorage/__init__.py")


def test_figures_stand_beside_those_of_the_release_before(report: Report) -> None:
    """As a ratio, and only where processor and Python are the same."""
    before = json.loads(report(cost_s=0.1).read_text())
    for machine, told in (
        ({}, "x 0.50"),
        ({"processor": "Another"}, "no like figure"),
        ({"python": "3.11.0 (another build)"}, "no like figure"),
    ):
        now = json.loads(report(cost_s=0.05, **machine).read_text())
        note = figures.note(now, before, "report.json")
        assert f"| GET 4 KiB | 0.050 s | 0.045 .. 0.055 | {told} |" in note


def test_a_failed_check_leaves_the_checkout_as_it_was(
    repository: Path, report: Report, tmp_path: Path
) -> None:
    """Nothing is committed, tagged or built."""
    before = git(repository, "rev-parse", "HEAD")

    def check(copy: Path, project: Project) -> None:
        raise SystemExit("a test failed")

    with pytest.raises(SystemExit, match="a test failed"):
        release(
            repository,
            "juststorage-sqlite",
            Version("0.2.0"),
            figures_from=report(),
            to=tmp_path / "to",
            write=True,
            check=check,
        )
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "tag", "--list") == git(repository, "status", "--porcelain") == ""
    assert not (tmp_path / "to").exists()
