"""A release of this project, this one or an older one, as a service and as a command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.releasing.archives import unpack

__all__ = ["Release", "built"]

_ROOT = Path(__file__).parents[2]
_MAIN = "from juststorage.cli import main; main()"


@dataclass(frozen=True)
class Release:
    """What a process is told to run on this release; the libraries are today's.

    Args:
        settings: Of the service; an empty one is not told.
        site: Where its packages are installed; None is this checkout.
    """

    settings: Mapping[str, str]
    site: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For a process."""
        return {**self.settings, "PYTHONPATH": "" if self.site is None else str(self.site)}

    def run(self, *arguments: str) -> str:
        """A command that must succeed; what it wrote."""
        told = {name: value for name, value in self.environment.items() if value}
        ran = subprocess.run(
            [sys.executable, "-c", _MAIN, *arguments],
            env={"PATH": os.defpath, **told},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


def built(commit: str, directory: Path) -> Path:
    """Install the packages of a commit of this repository; skips where its history is not here."""
    git = ["git", "-C", str(_ROOT)]
    known = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], check=False)
    if known.returncode != 0:
        pytest.skip(f"SKIPPED: this checkout has no history back to {commit[:12]}")
    archive, site = directory / "old.tar", directory / "site"
    subprocess.run([*git, "archive", "--output", str(archive), commit], check=True)
    source = unpack(archive, directory / "old")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    # Built here and with what is here: nothing is fetched.
    command = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    packages = [str(path) for path in sorted((source / "packages").iterdir())]
    target = ["--python", sys.executable, "--target", str(site)]
    subprocess.run([*command, *target, *packages], check=True, timeout=300)
    return site
