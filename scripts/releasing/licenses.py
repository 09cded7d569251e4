"""Write what our packages bring along: `python -m scripts.releasing.licenses FILE`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from build import ProjectBuilder

from .inventory import bill_of_materials, install, licences, not_allowed
from .projects import META, projects

__all__ = ["EVERYTHING", "licences_of", "text"]

EVERYTHING = ("juststorage-core[otel]", "juststorage-objectstore", "juststorage-postgres")
"""Besides the meta package: what the image has, and every extra that is not for tests alone."""

_HEAD = """\
<!-- Written by scripts/licenses: do not edit. -->

# Licences

JustStorage is licensed under the Apache License 2.0. Installed with it, at the versions of
`requirements/lock.txt` on Linux, are the packages below; "default" are those that
`pip install juststorage` brings. A test holds all of them against the licences that
`scripts/releasing/inventory.py` allows, none of which asks more than a notice of who installs, runs
or passes on the service.

| package | licence | default |
|---|---|---|
"""


def text(default: Mapping[str, str], everything: Mapping[str, str]) -> str:
    """The page, of the licences by package."""
    return _HEAD + "".join(
        f"| {name} | {told} | {'yes' if name in default else ''} |\n"
        for name, told in sorted(everything.items(), key=lambda each: each[0].lower())
        if not name.startswith("juststorage")
    )


def licences_of(root: Path, wheels: Path, folder: Path, *requirements: str) -> dict[str, str]:
    """The licences of what these requirements install, in a clean environment below `folder`."""
    install(folder, wheels, *requirements, lock=root / "requirements/lock.txt")
    meta = projects(root)[META]
    return licences(bill_of_materials(meta, folder, time_s=0, validate=False))


def main() -> None:
    """Build all wheels, install them, and write the page."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch) / "wheels"
        for project in projects(root).values():
            ProjectBuilder(project.folder).build("wheel", wheels)
        default = licences_of(root, wheels, Path(scratch) / "default", META)
        everything = licences_of(root, wheels, Path(scratch) / "all", META, *EVERYTHING)
    Path(sys.argv[1]).write_text(text(default, everything))
    if wrong := not_allowed(everything):
        sys.exit("not allowed: " + ", ".join(f"{name} ({told})" for name, told in wrong.items()))


if __name__ == "__main__":
    main()
