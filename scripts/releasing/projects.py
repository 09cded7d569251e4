"""The packages of this repository: their versions, and the ranges in which they need each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

__all__ = [
    "META",
    "Project",
    "first_that_may_break",
    "needed",
    "projects",
    "range_of",
    "set_image_version",
    "set_ranges",
    "set_version",
    "wrong_step",
]

META = "juststorage"
"""The package at the root, which installs the default set. Its version is that of the image."""

_IMAGE = {
    "deploy/Dockerfile": r"(--tag juststorage:)\S+",
    "deploy/compose.yaml": r"(image: juststorage:)\S+",
    "deploy/helm/juststorage/Chart.yaml": r"(?m)(^(?:appV|v)ersion: )\S+",
}


class Project(NamedTuple):
    """A package of this repository."""

    name: str
    folder: Path

    @property
    def manifest(self) -> Path:
        """Where its version and its ranges are written."""
        return self.folder / "pyproject.toml"

    @property
    def table(self) -> dict[str, Any]:
        """What it says of itself."""
        table: dict[str, Any] = tomllib.loads(self.manifest.read_text())["project"]
        return table

    @property
    def version(self) -> Version:
        """The one that it has now."""
        return Version(self.table["version"])

    @property
    def fragments(self) -> list[str]:
        """Names of its change fragments."""
        return sorted(path.name for path in (self.folder / "changes").glob("*.md"))

    def tag(self, version: Version) -> str:
        """The name of a release in git."""
        return f"{self.name}-{version}"


def projects(root: Path) -> dict[str, Project]:
    """Every package by name, the one at the root last: it needs the others."""
    found = [
        Project(path.parent.name, path.parent) for path in root.glob("packages/*/pyproject.toml")
    ]
    return {each.name: each for each in [*sorted(found), Project(META, root)]}


def needed(ours: dict[str, Project], name: str) -> set[str]:
    """The packages of ours that come along when this one is installed, without its extras."""
    found: set[str] = set()
    for text in ours[name].table.get("dependencies", []):
        if (need := Requirement(text).name) in ours:
            found |= {need} | needed(ours, need)
    return found


def first_that_may_break(version: Version) -> Version:
    """The next major version; before 1.0 the next minor one."""
    if version.major:
        return Version(f"{version.major + 1}")
    return Version(f"0.{version.minor + 1}")


def range_of(version: Version) -> str:
    """What those who are tested with this version declare."""
    lowest = version if version.is_prerelease else f"{version.major}.{version.minor}"
    return f">={lowest},<{first_that_may_break(version)}"


def wrong_step(old: Version, new: Version, fragments: list[str]) -> str | None:
    """Why `new` may not follow `old` with these changes; None where it may."""
    if new <= old and Version(new.base_version) <= old:
        return f"{new} is not newer than {old}"
    if new.local or new.is_devrelease or new.is_postrelease or len(new.release) != 3:
        return f"{new}: a release is three numbers, and may be a pre-release such as 1.2.0rc1"
    breaking = Version(new.base_version) >= first_that_may_break(old)
    minor = (new.major, new.minor) > (old.major, old.minor)
    for name in fragments:
        kind = re.search(r"\.(feature|removal)(\.\d+)?\.md$", name)
        if kind and kind[1] == "removal" and not breaking:
            return f"{name} removes something: the next version is {first_that_may_break(old)}.0"
        if kind and not minor:
            return f"{name} adds something: a patch version promises that nothing changed"
    return None


def set_version(project: Project, version: Version) -> None:
    """Write it where it is written: the manifest and the package itself."""
    _replace(project.manifest, r'(?m)^(version = )"[^"]+"', rf'\g<1>"{version}"')
    for module in project.folder.glob("src/*/__init__.py"):
        _replace(module, r'(?m)^(__version__ = )"[^"]+"', rf'\g<1>"{version}"')


def set_ranges(root: Path, name: str, version: Version) -> list[str]:
    """Let those who need `name` need this version; the names of the packages that this changes.

    A patch changes no range: whoever needs the fix says so themselves.
    """
    if version.micro:
        return []
    need = re.compile(rf'"{re.escape(name)}(\[[^\]]*\])?>=[^"]+"')
    changed = []
    for manifest in sorted([root / "pyproject.toml", *root.glob("*/*/pyproject.toml")]):
        text = manifest.read_text()
        new = need.sub(rf'"{name}\g<1>{range_of(version)}"', text)
        if new == text:
            continue
        manifest.write_text(new)
        changed.append(tomllib.loads(new)["project"]["name"])
        changes = manifest.parent / "changes"
        if changes.is_dir():
            fragment = changes / f"+{name}.feature.md"
            fragment.write_text(f"Works with {name} {range_of(version)}, and needs it.\n")
    return changed


def set_image_version(root: Path, version: Version) -> None:
    """Let the chart, the compose file and the Dockerfile name this version of the image."""
    for name, pattern in _IMAGE.items():
        _replace(root / name, pattern, rf"\g<1>{version}")


def _replace(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count, f"{path}: nothing matches {pattern}"
    path.write_text(text)
