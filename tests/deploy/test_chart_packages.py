"""Plugins that the image lacks: the init container's command, carried out beside a small image.

The image is an environment without pip, as the Dockerfile makes one, and beside it the Python that
it was made from, which has pip. No network: what is installed here already is packed again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

from tests.deploy.charts import MATRIX, ROOT, pod_specs, render

TARGET = "/opt/juststorage-packages"


def test_packages_are_there_before_what_needs_them() -> None:
    """Each kind of pod installs them first, and finds them where they were put."""
    pods = pod_specs(render(MATRIX["everything else"]))
    assert len(pods) == 3
    for name, spec in pods:
        [installer] = spec["initContainers"]
        assert installer["args"] == ["--no-deps", "juststorage-blake3==1"]
        assert f"packages={TARGET}\n" in installer["command"][2]
        for container in spec["containers"]:
            assert {"name": "PYTHONPATH", "value": TARGET} in container["env"], name
            assert TARGET in [each["mountPath"] for each in container["volumeMounts"]], name


# -- the command --------------------------------------------------------------------------------


class Image(NamedTuple):
    """Directories that stand in for those of the image, and wheels in place of an index."""

    root: Path
    wheels: Path

    @property
    def packages(self) -> Path:
        """The volume that is mounted at `TARGET`."""
        return self.root / "packages"

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A process of a container."""
        path = f"{self.root}/env/bin:{self.root}/base/bin:{os.defpath}"
        environment = {"PATH": path, "HOME": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [self.here(each) for each in command],
            env=environment | {name: self.here(value) for name, value in variables.items()},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def here(self, text: str) -> str:
        """With the directories of a container in place of the machine's."""
        return text.replace(TARGET, str(self.packages)).replace(
            "=/tmp/constraints", f"={self.root}/constraints"
        )

    def install(self, *packages: str) -> subprocess.CompletedProcess[str]:
        """What the init container of a pod with these packages does."""
        options = ["--no-index", "--find-links", str(self.wheels)]
        values = {"plugins": {"packages": list(packages), "pipOptions": options}}
        [(_, spec), *_] = pod_specs(render(values))
        [installer] = spec["initContainers"]
        return self.run(*installer["command"], *installer["args"])

    def serve(self, *command: str) -> str:
        """What a process of the server's container prints."""
        [(_, spec), *_] = pod_specs(render({"plugins": {"packages": ["x"]}}))
        [path] = [
            each["value"] for each in spec["containers"][0]["env"] if each["name"] == "PYTHONPATH"
        ]
        done = self.run(*command, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installed(self) -> set[str]:
        """The distributions that are among the packages, as `name-version`."""
        return {each.name.removesuffix(".dist-info") for each in self.packages.rglob("*.dist-info")}


def write_wheel(folder: Path, name: str, version: str, contents: dict[str, bytes]) -> None:
    """A wheel with these files; they bring their metadata, but for the list of them."""
    info = next(each.split("/")[0] for each in contents if ".dist-info/" in each)
    tag = re.search(rb"^Tag: *(\S+)", contents[f"{info}/WHEEL"], re.M)
    assert tag is not None
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag[1].decode()}.whl", "w") as file:
        for path, content in contents.items():
            file.writestr(path, content)
        file.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in contents))


def packed_again(name: str, folder: Path) -> None:
    """The wheel of a distribution that is installed here."""
    found = distribution(name)
    contents = {
        str(path): Path(str(path.locate())).read_bytes()
        for path in found.files or ()
        if not str(path).startswith("..") and path.suffix != ".pyc" and path.name != "RECORD"
    }
    write_wheel(folder, found.name.replace("-", "_"), found.version, contents)


def invented(folder: Path, name: str, version: str, *requires: str) -> None:
    """A wheel with a module that cannot be imported, and with requirements."""
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": b"raise ImportError('not from here')\n",
        f"{info}/METADATA": head.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    write_wheel(folder, name, version, contents)


def needed(*names: str) -> Iterator[Distribution]:
    """These distributions' requirements, and theirs, each once."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        for text in distribution(waiting.pop()).requires or ():
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            if requirement.name not in seen:
                seen.add(requirement.name)
                waiting.append(requirement.name)
                yield distribution(requirement.name)


def checked(*command: str | Path) -> None:
    """Run what must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """One with core alone, and an index of what its plugins need, and of what would harm it."""
    root = tmp_path_factory.mktemp("image")
    own, wheels = root / "own", root / "wheels"
    own.mkdir()
    wheels.mkdir()
    for source, folder in (
        ("packages/juststorage-core", own),
        ("examples/juststorage-blake3", wheels),
    ):
        options = ("--wheel", "--no-isolation", "--outdir", folder)
        checked(sys.executable, "-m", "build", *options, ROOT / source)
    for each in needed("juststorage-core"):
        packed_again(each.name, own)
    packed_again("blake3", wheels)
    invented(wheels, "msgspec", "99.0")
    invented(wheels, "greedy", "1.0", "msgspec>=99")
    venv.create(root / "base", with_pip=True)
    venv.create(root / "env", with_pip=False)
    # As the Dockerfile does: wheels by their names, so that each says where it came from.
    checked(
        *(sys.executable, "-m", "uv", "pip", "install", "--python", root / "env/bin/python"),
        *("--quiet", "--offline", "--no-index", "--no-deps", *own.glob("*.whl")),
    )
    (root / "packages").mkdir()
    return Image(root, wheels)


@pytest.mark.timeout(240)
def test_the_image_is_added_to(image: Image) -> None:
    """The plugin and what it needs are installed and usable; what the image has is not again."""
    for _ in "a start", "a restart, on the same volume":
        done = image.install("juststorage-blake3")
        assert done.returncode == 0, done.stdout + done.stderr
    version = distribution("blake3").version
    assert image.installed() == {"juststorage_blake3-0.1.0", f"blake3-{version}"}
    plugins = json.loads(image.serve("juststorage", "plugins", "--json"))
    assert "hasher:blake3" in json.dumps(plugins)
    where = "import blake3, juststorage as j, msgspec; print(blake3.__file__, j.__file__, msgspec)"
    blake3, juststorage, msgspec = image.serve("python", "-c", where).split(" ", 2)
    assert blake3.startswith(str(image.packages))
    assert juststorage.startswith(str(image.root / "env"))
    assert str(image.root / "env") in msgspec


@pytest.mark.timeout(240)
def test_the_image_is_never_replaced(image: Image) -> None:
    """What needs another version than the image's is refused; the image's modules come first."""
    done = image.install("greedy")
    assert done.returncode != 0
    assert "msgspec" in done.stdout + done.stderr
    assert image.installed() == set()
    # Even where options of pip ask for it.
    done = image.install("--no-deps", "--upgrade", "msgspec", "greedy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert image.installed() == {"greedy-1.0"}
    assert image.serve("python", "-c", "import msgspec; print(msgspec.__version__)").strip() == (
        distribution("msgspec").version
    )
    [folder] = image.packages.glob("lib*/python*/*-packages")
    (folder / "msgspec.py").write_text("raise ImportError('not from here')")
    assert image.serve("juststorage", "plugins")


def test_an_image_without_pip_says_so(tmp_path: Path) -> None:
    """In a sentence with the value that asks for it."""
    [(_, spec), *_] = pod_specs(render({"plugins": {"packages": ["x"]}}))
    script: Any = spec["initContainers"][0]["command"][2]
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "plugins.packages: the image has no pip" in done.stderr
