"""Running commands in this process, without anyone's settings."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from juststorage.cli import _main as cli

Run = Callable[..., Result]

MEMORY = """
data_dir = "/"
[metadata]
backend = "memory"
[blobs.hot]
backend = "memory"
[auth]
chain = []
"""
TARGET = """
import click
from juststorage.cli import config_options, json_option
from juststorage.errors import Unavailable

@click.command()
@config_options
def go(source):
    click.echo(f"went with {source.file}")

@click.command()
@json_option()
def fail(as_json):
    raise Unavailable("the volume\\nis gone")

class Box:
    go = go
not_one = 7
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `juststorage` in this process, in an empty directory, without anyone's settings."""
    for name in list(os.environ):
        if name.upper().startswith("JUSTSTORAGE"):
            monkeypatch.delenv(name)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def invoke(*args: str, **environment: str) -> Result:
        return CliRunner().invoke(cli.juststorage, args, env=environment)

    return invoke


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A configuration on memory backends."""
    path = tmp_path / "juststorage.toml"
    path.write_text(MEMORY)
    return str(path)


@pytest.fixture
def target(site: Any) -> Any:
    """The site, with a module of commands."""
    (site.directory / "acme_target_module.py").write_text(TARGET)
    site.modules.add("acme_target_module")
    importlib.invalidate_caches()
    return site
