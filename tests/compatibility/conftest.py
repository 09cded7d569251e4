"""An environment with nothing but core from its wheel, and wheels of plugins to put beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from build import ProjectBuilder

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{distribution}"
version = "1.0"
dependencies = {requires}
[project.entry-points."juststorage.plugins"]
{plugin} = "{module}"
[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""


def run(
    *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    command = [str(arg) for arg in args]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=100, env=env, cwd=cwd
    )


class Installation:
    """Core from its wheel in an environment of its own, and plugins in a directory beside it.

    Args:
        environment: The environment, which is shared: nothing is installed into it.
        directory: Of this test alone.
    """

    def __init__(self, environment: Path, directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._beside = directory / "site-packages"

    def install(self, project: Path) -> None:
        """Build a project's wheel, and install it past what pip would refuse."""
        wheel = ProjectBuilder(project).build("wheel", self._directory / "wheels")
        done = run(UV, "pip", "install", "--no-deps", "--target", self._beside, wheel)
        assert done.returncode == 0, done.stderr

    def add(
        self,
        source: str,
        *,
        distribution: str = "acme-plugin",
        plugin: str = "acme",
        requires: Sequence[str] = ("juststorage-core>=0.1,<1",),
    ) -> None:
        """Write a plugin of this source, build its wheel, and install that."""
        project = self._directory / distribution
        module = distribution.replace("-", "_")
        (project / module).mkdir(parents=True)
        (project / module / "__init__.py").write_text(dedent(source))
        (project / "pyproject.toml").write_text(
            PYPROJECT.format(
                distribution=distribution, module=module, plugin=plugin, requires=list(requires)
            )
        )
        self.install(project)

    def juststorage(
        self, *args: str, config: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line of this installation."""
        own: Mapping[str, str] = {
            name: value for name, value in os.environ.items() if "JUSTSTORAGE" not in name
        }
        if config is not None:
            file = self._directory / "juststorage.toml"
            file.write_text(dedent(config))
            args = (*args, "--config", str(file))
        script = self._environment / "bin" / "juststorage"
        variables = {**own, "PYTHONPATH": str(self._beside), **environment}
        return run(script, *args, env=variables, cwd=self._directory)


@pytest.fixture(scope="session")
def core_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Core's wheel and what it asks for, locked; from the cache that scripts/setup has filled."""
    directory = tmp_path_factory.mktemp("core")
    wheel = ProjectBuilder(ROOT / "packages/juststorage-core").build("wheel", directory)
    environment = directory / "environment"
    lock = ROOT / "requirements/lock.txt"
    for command in (
        [UV, "venv", "--python", sys.executable, environment],
        [UV, "pip", "install", "--python", environment, "--constraint", lock, wheel],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture
def installation(core_environment: Path, tmp_path: Path) -> Installation:
    """Core alone; the test adds plugins."""
    return Installation(core_environment, tmp_path)
