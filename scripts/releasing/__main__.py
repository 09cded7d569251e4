"""The order of a release: refusals first, then a copy of the checkout, and the checkout last."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from packaging.version import InvalidVersion, Version

from . import artifacts, figures, inventory, notes
from .projects import (
    META,
    Project,
    needed,
    projects,
    set_image_version,
    set_ranges,
    set_version,
    wrong_step,
)

__all__ = ["main", "release"]

_GENERATED = ("scripts/openapi", "scripts/public-api", "scripts/plugin-pages", "scripts/helm")


def main() -> None:
    """Read the command line, rehearse a release, and with --write make it."""
    parser = argparse.ArgumentParser(prog="scripts/release")
    parser.add_argument("package", choices=sorted(projects(Path.cwd())))
    parser.add_argument("version", type=_version)
    parser.add_argument("--figures", type=Path, help="a report of `benchmarks/run --json FILE`")
    parser.add_argument("--to", type=Path, help="where wheels go; default: dist/TAG")
    parser.add_argument("--write", action="store_true", help="commit and tag, once all went well")
    parser.add_argument("--no-checks", action="store_true", help="a quick look; not with --write")
    arguments = parser.parse_args()
    if arguments.write and arguments.no_checks:
        parser.error("--write makes a release, and that is checked")
    release(
        Path.cwd(),
        arguments.package,
        arguments.version,
        figures_from=arguments.figures,
        to=arguments.to,
        write=arguments.write,
        check=_no_check if arguments.no_checks else _check,
    )


def release(
    root: Path,
    name: str,
    version: Version,
    *,
    figures_from: Path | None,
    to: Path | None = None,
    write: bool = False,
    check: Callable[[Path, Project], None],
) -> None:
    """Make a release in a copy of a checkout, and with `write` bring it into the checkout.

    Args:
        root: The checkout; only its last commit counts.
        name: Of the package.
        version: The new one.
        figures_from: A report of `benchmarks/run --json`.
        to: Where wheel, source distribution, bill of materials and licences are left.
        write: Whether commit and tag arrive in the checkout.
        check: Called with the changed copy and the package in it; raises SystemExit.

    Raises:
        SystemExit: It may not be, or something went wrong. The checkout is as it was.
    """
    project = projects(root)[name]
    refused = _refusal(root, project, version, figures_from, write=write)
    if refused or figures_from is None:
        sys.exit(f"scripts/release: {refused}")
    target = (to or root / "dist" / project.tag(version)).absolute()
    with tempfile.TemporaryDirectory(prefix="juststorage-release-") as scratch:
        copy = Path(scratch) / "copy"
        _run(root, "git", "clone", "--quiet", "--shared", str(root), str(copy))
        released = projects(copy)[name]
        dependents = _change(copy, released, version, figures_from)
        check(copy, released)
        _commit(root, copy, released, version)
        _artifacts(copy, released, target)
        if write:
            tag = f"refs/tags/{project.tag(version)}"
            _run(root, "git", "pull", "--quiet", "--ff-only", str(copy), "HEAD")
            _run(root, "git", "fetch", "--quiet", str(copy), f"{tag}:{tag}")
    print(f"{project.tag(version)}: {'made' if write else 'rehearsed'}; the files are in {target}")
    for dependent in dependents:
        print(f"has a new range, and so needs a release of its own: {dependent}")


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _no_check(copy: Path, project: Project) -> None:
    """Nothing, for --no-checks."""


def _refusal(
    root: Path, project: Project, version: Version, report: Path | None, *, write: bool
) -> str | None:
    """Why there can be no such release; None where there can."""
    tag = project.tag(version)
    if _run(root, "git", "tag", "--list", tag):
        return f"there is a release {tag}"
    if write and _run(root, "git", "status", "--porcelain"):
        return "this checkout has changes that are in no commit"
    # The first release of all has the version that the package was born with.
    born = project.version == version and not _run(
        root, "git", "tag", "--list", f"{project.name}-[0-9]*"
    )
    wrong = None if born else wrong_step(project.version, version, project.fragments)
    return wrong or figures.refusal(report, root)


def _change(copy: Path, project: Project, version: Version, report: Path) -> list[str]:
    """Everything that a release changes in files; the packages whose ranges changed."""
    notes.add(copy, project, version, report, time_s=_time_s(copy))
    set_version(project, version)
    if project.name == META:
        set_image_version(copy, version)
    ours = projects(copy)
    return [name for name in set_ranges(copy, project.name, version) if name in ours]


def _check(copy: Path, project: Project) -> None:
    """What has to hold of the changed copy, in an environment of its own."""
    # Settled first, so that what is checked is what is committed.
    for command in (("scripts/setup",), *((each,) for each in _GENERATED)):
        _run(copy, *command)
    _run(copy, "scripts/check")
    _run(copy, "scripts/test", "tests/house", "tests/compatibility", "tests/deploy", "-q")
    if project.name != META:
        _run(copy, "scripts/test-wheels", project.name)


def _commit(root: Path, copy: Path, project: Project, version: Version) -> None:
    told = f"Release {project.name} {version}"
    # Who commits may be settled in the checkout alone, which a clone of it does not know.
    for setting in ("user.name", "user.email"):
        _run(copy, "git", "config", setting, _run(root, "git", "config", setting))
    _run(copy, "git", "add", "--all")
    _run(copy, "git", "commit", "--quiet", "--no-verify", "--message", told)
    _run(copy, "git", "tag", "--annotate", "--message", told, project.tag(version))


def _artifacts(copy: Path, project: Project, target: Path) -> None:
    """What is uploaded, and what comes along when it is installed beside the rest of ours."""
    target.mkdir(parents=True, exist_ok=True)
    time_s = _time_s(copy)
    ours = projects(copy)
    versions = {name: each.version for name, each in ours.items()}
    for artifact in artifacts.build(project, target, time_s=time_s):
        if wrong := artifacts.wrong_metadata(artifact, versions):
            sys.exit("scripts/release: " + "\n    ".join(wrong))
        print(f"built twice, the same: {artifact.name}")
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch) / "wheels"
        for each in {project.name} | needed(ours, project.name):
            artifacts.build_one(ours[each].folder, "wheel", wheels, time_s)
        environment = Path(scratch) / "environment"
        lock = copy / "requirements/lock.txt"
        need = f"{project.name}=={project.version}"
        inventory.install(environment, wheels, need, lock=lock)
        bill = inventory.bill_of_materials(project, environment, time_s=time_s)
    (target / f"{project.tag(project.version)}.cdx.json").write_text(bill)
    found = inventory.licences(bill)
    lines = [f"{name}\t{told}\n" for name, told in found.items()]
    (target / f"{project.tag(project.version)}.licenses.tsv").write_text("".join(lines))
    if wrong_licences := inventory.not_allowed(found):
        sys.exit(f"scripts/release: licences that are not allowed: {wrong_licences}")


def _time_s(checkout: Path) -> int:
    return int(_run(checkout, "git", "log", "-1", "--format=%ct"))


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"scripts/release: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
