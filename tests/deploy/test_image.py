"""The Dockerfile and the compose file, without a daemon.

The build stage is carried out as it is written, instruction by instruction, in a scratch directory
that stands in for the image's root; what it makes then has to work with nothing of the checkout.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import DOCKERFILE, instructions

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
RESTRICTED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    """What the linter of Dockerfiles says."""
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run(
        [program, "--failure-threshold", "style", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def ignored(folder: str, names: list[str]) -> set[str]:
    """What `.dockerignore` leaves out of the packages."""
    return {name for name in names if name in {"__pycache__", "tests", "changes"}}


def test_the_linter_has_nothing_to_say() -> None:
    """Nothing of the Dockerfile goes against its rules; a bad one does."""
    run = hadolint(DOCKERFILE.read_text())
    assert (run.returncode, run.stdout) == (0, ""), run.stdout
    assert hadolint("FROM python:latest\nRUN cd /tmp\n").returncode != 0


def test_it_runs_as_nobody_special() -> None:
    """A number as the user, so that Kubernetes can tell; a check; signals reach the service."""
    last = list(instructions(1))
    assert ("USER", "10001:10001") in last
    assert next(value for name, value in last if name == "ENTRYPOINT") == '["juststorage"]'
    assert any(name == "HEALTHCHECK" and "/health" in value for name, value in last)


def test_the_image_is_locked_as_the_tests_are() -> None:
    """What runs in the image is, version for version, what was tested."""

    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", (ROOT / "requirements" / name).read_text(), re.M))

    assert pins("image.txt") <= pins("lock.txt")
    assert {"granian", "asyncpg", "obstore"} <= {
        each.partition("=")[0] for each in pins("image.txt")
    }
    assert not {"pytest", "mypy"} & {each.partition("=")[0] for each in pins("image.txt")}


@pytest.mark.timeout(400)
def test_the_build_stage_works(tmp_path: Path) -> None:
    """Carried out in a scratch root: locked packages, our wheels, and every plugin is usable."""
    base = tmp_path / "base"
    venv.create(base, with_pip=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JUSTSTORAGE")
    } | {"PATH": f"{base}/bin:{os.environ['PATH']}"}
    where = tmp_path / "src"
    for name, value in instructions(0):
        if name == "COPY":
            *sources, target = value.split()
            (where / target).mkdir(parents=True, exist_ok=True)
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, where / target, ignore=ignored, dirs_exist_ok=True
                    )
                else:
                    shutil.copy(ROOT / source, where / target)
        elif name == "RUN":
            # The image has no cache to keep; here there may be one.
            command = value.replace("--no-cache ", "")
            command = re.sub(r"(?<=\s)/(opt|wheels)", rf"{tmp_path}/\1", command)
            run = subprocess.run(
                ["/bin/sh", "-ec", command],
                cwd=where,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, run.stdout + run.stderr
    program = tmp_path / "opt" / "juststorage" / "bin" / "juststorage"
    shown = subprocess.run(
        [program, "plugins", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
    )
    text = shown.stdout.decode()
    assert json.loads(text)
    for plugin in ("api", "localfs", "objectstore", "postgres", "sqlite"):
        assert plugin in text
    packages = subprocess.run(
        [
            program.with_name("python"),
            "-c",
            "import juststorage_api; print(juststorage_api.__file__)",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert packages.stdout.startswith(str(tmp_path))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def test_what_compose_names_is_there(compose: dict[str, Any]) -> None:
    """Volumes, secrets and configurations that services use are declared, and files are there."""
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        for kind in ("secrets", "configs"):
            for each in service.get(kind, []):
                assert (each if isinstance(each, str) else each["source"]) in compose[kind]
        for other in service.get("depends_on", {}):
            assert other in compose["services"]
    assert (COMPOSE.parent / compose["configs"]["juststorage"]["file"]).is_file()
    build = compose["services"]["server"]["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE


def test_every_image_can_be_given_a_digest(compose: dict[str, Any]) -> None:
    """By the names that the documentation has, and the tags are the same wherever they are."""
    [tag] = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(), re.M)
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.M)
    assert bases == ["${PYTHON}", "${PYTHON}"]
    assert compose["services"]["server"]["build"]["args"] == {"PYTHON": f"${{PYTHON_IMAGE:-{tag}}}"}
    named = {each["image"] for each in compose["services"].values() if "build" not in each}
    [postgres] = named
    found = re.fullmatch(r"\$\{POSTGRES_IMAGE:-(postgres:\S+)\}", postgres)
    assert found is not None
    text = (ROOT / "deploy" / "README.md").read_text()
    for name, image in (("PYTHON_IMAGE", tag), ("POSTGRES_IMAGE", found[1])):
        assert f"export {name}={image}@$(digest {image})" in text
    assert '--build-arg PYTHON="$PYTHON_IMAGE"' in text


def test_compose_gives_the_service_what_its_configuration_asks_for(compose: dict[str, Any]) -> None:
    """Each secret file of juststorage.toml is mounted, and each volume's root; nothing else."""
    toml = (ROOT / "deploy" / "juststorage.toml").read_text()
    server = compose["services"]["server"]
    targets = {each["target"] for each in server["secrets"]}
    assert set(re.findall(r'file = "([^"]+)"', toml)) == targets
    mounts = {volume.partition(":")[2] for volume in server["volumes"]}
    assert set(re.findall(r'root = "([^"]+)"', toml)) <= mounts
    assert {name: server[name] for name in RESTRICTED} == RESTRICTED


def test_the_secrets_of_compose_are_in_no_commit(compose: dict[str, Any]) -> None:
    """They lie in the checkout: git leaves them out, whoever adds everything."""
    files = [str(COMPOSE.parent / each["file"]) for each in compose["secrets"].values()]
    command = ["git", "check-ignore", "--no-index", *files]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == files


def written_to() -> set[str]:
    """Each directory that the service is configured to write to."""
    config = tomllib.loads((ROOT / "deploy/juststorage.toml").read_text())
    roots = {config["blobs"][name]["localfs"]["root"] for name in ("hot", "cold")}
    return {config["data_dir"], *roots}


def test_whatever_the_service_writes_to_is_a_volume(compose: dict[str, Any]) -> None:
    """The root filesystem is read-only: what is no volume cannot be written."""
    assert {
        each.partition(":")[2] for each in compose["services"]["server"]["volumes"]
    } == written_to()
    for service in ("server", "migrate"):
        assert compose["services"][service]["read_only"] is True


def test_the_image_has_a_directory_of_its_user_for_each_volume() -> None:
    """A volume takes over the owner of the directory that it is mounted on."""
    [made] = [text for word, text in instructions(1) if word == "RUN" and "install --dir" in text]
    options, _, directories = made.partition("install --directory")[2].partition("--mode=0750")
    assert "--owner=juststorage --group=juststorage" in " ".join(options.split())
    assert written_to() < set(directories.split())
    [variables] = [text for word, text in instructions(1) if word == "ENV"]
    data_dir = re.search(r"JUSTSTORAGE__DATA_DIR=(\S+)", variables)
    config = tomllib.loads((ROOT / "deploy/juststorage.toml").read_text())
    assert data_dir is not None
    assert data_dir[1] == config["data_dir"], "the variable would win over the file"


def test_the_image_is_of_this_version(compose: dict[str, Any]) -> None:
    """Compose and chart take the image that has the version of the meta package."""
    found = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert found is not None
    chart = yaml.safe_load((ROOT / "deploy/helm/juststorage/Chart.yaml").read_text())
    assert compose["services"]["server"]["image"] == f"juststorage:{found[1]}"
    assert chart["appVersion"] == found[1]
    assert shlex.split(f"juststorage:{found[1]}")[0] in DOCKERFILE.read_text()
