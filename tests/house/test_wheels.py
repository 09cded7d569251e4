"""What the wheels promise to those who install them, checked on wheels built from this checkout."""

from __future__ import annotations

import email.message
import email.parser
import itertools
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build import ProjectBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
PROJECTS = [ROOT, *PACKAGES]

Build = Callable[[Path], zipfile.ZipFile]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a project once, without a network: the build backend is in the lock."""
    built: dict[Path, Path] = {}

    def build_once(project: Path) -> zipfile.ZipFile:
        if project not in built:
            target = tmp_path_factory.mktemp(project.name)
            built[project] = Path(ProjectBuilder(project).build("wheel", target))
        return zipfile.ZipFile(built[project])

    return build_once


def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    """The METADATA file, which is all that an installer reads."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.BytesParser().parsebytes(wheel.read(name))


def project_table(project: Path) -> dict[str, Any]:
    """What the package says of itself."""
    table: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return table


def declared(project: Path) -> list[Requirement]:
    """What the package needs: always, and with each of its extras."""
    table = project_table(project)
    extras = table.get("optional-dependencies", {}).values()
    return [Requirement(text) for text in itertools.chain(table["dependencies"], *extras)]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_a_wheel_bounds_the_siblings_it_needs(build: Build, project: Path) -> None:
    """A sibling without a range, in an extra too, would install any version beside any other."""
    with build(project) as wheel:
        requirements = map(Requirement, metadata(wheel).get_all("Requires-Dist", []))
    siblings = [need for need in requirements if need.name.startswith("juststorage")]
    assert all({spec.operator for spec in need.specifier} == {">=", "<"} for need in siblings)
    assert sorted(need.name for need in siblings) == sorted(
        need.name for need in declared(project) if need.name.startswith("juststorage")
    )


@pytest.mark.parametrize("project", PACKAGES, ids=lambda path: path.name)
def test_a_wheel_holds_its_types_and_its_license(build: Build, project: Path) -> None:
    """Type checkers ignore a package without py.typed."""
    import_name = project.name.removesuffix("-core").replace("-", "_")
    with build(project) as wheel:
        names = wheel.namelist()
    assert f"{import_name}/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {import_name}


def test_the_meta_package_ships_no_module(build: Build) -> None:
    """It would shadow the one that juststorage-core ships."""
    with build(ROOT) as wheel:
        assert all(".dist-info/" in name for name in wheel.namelist())
        assert metadata(wheel)["Name"] == "juststorage"


def test_every_package_is_locked() -> None:
    """Each dependency of each package, extras included, is locked: setup downloads nothing else."""
    lock = (ROOT / "requirements/lock.txt").read_text()
    for project in PROJECTS:
        for need in declared(project):
            assert need.name.startswith("juststorage") or f"\n{need.name}==" in lock
